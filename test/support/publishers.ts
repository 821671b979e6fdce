import { randomUUID } from "node:crypto";
import { apiKey } from "./gateway.ts";
import type { History } from "./history-checker.ts";

/** Backends that publish at a pace and do not give up on a publication. */
export interface Publishers {
  /** Publications under way: sent and not yet acknowledged. */
  readonly pending: number;
  /** How often each status was answered; 0 where none came. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Answers of 503 that did not say when to come back. */
  readonly withoutRetryAfter: number;
  /**
   * Publishes to every channel once more, so that whoever reads it learns where it is now; resolves when everything under
   * way has been acknowledged.
   */
  finish(): Promise<void>;
  /** Begins nothing new and gives up what is under way. */
  stop(): void;
}

export interface PublishersOptions {
  perSecond: number;
  channels: readonly string[];
  /** Addresses to publish at; asked for each try. */
  urls: () => readonly string[];
  history: History;
  random: () => number;
  /** Bytes of each publication beside its id. @default 64 */
  padding?: number;
  /** With an idempotency key and until it is acknowledged, or without one and once. @default true */
  isPatient?: boolean;
}

/** Publications under way at a time: a backend waits as well. */
const mostPending = 64;
const tickMs = 10;
const giveUpMs = 60_000;

export function startPublishers(options: PublishersOptions): Publishers {
  const { perSecond, channels, history, random, isPatient = true } = options;
  const statuses = new Map<number, number>();
  const filler = "x".repeat(options.padding ?? 64);
  let pending = 0;
  let isStopped = false;
  let withoutRetryAfter = 0;
  let due = 0;
  let last = Date.now();

  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

  async function publish(channel = pick(channels)): Promise<void> {
    const publication = { channel, id: randomUUID(), sentAt: Date.now() };
    pending++;
    while (!isStopped && Date.now() - publication.sentAt < giveUpMs) {
      const waitMs = await attempt(publication);
      if (waitMs === undefined || !isPatient) break;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    pending--;
  }

  /** Undefined once it is acknowledged, else how long to wait. */
  async function attempt({ channel, id, sentAt }: { channel: string; id: string; sentAt: number }) {
    const body = { channel, event: "lab", data: { id, sentAt, filler }, ...(isPatient && { idempotencyKey: id }) };
    const response = await post(`${pick(options.urls())}/v1/publish`, body);
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    if (response.status === 200) {
      const { epoch, offset } = response.body;
      history.acknowledged({ channel, id, epoch, offset, sentAt, acknowledgedAt: Date.now() });
      return undefined;
    }
    if (response.status === 503 && response.retryAfter === null) withoutRetryAfter++;
    return 50 + random() * 200;
  }

  const timer = setInterval(() => {
    const now = Date.now();
    due = Math.min(due + ((now - last) * perSecond) / 1_000, perSecond);
    last = now;
    for (; due >= 1; due--) if (pending < mostPending) void publish();
  }, tickMs);

  return {
    get pending() {
      return pending;
    },
    statuses,
    get withoutRetryAfter() {
      return withoutRetryAfter;
    },
    async finish() {
      clearInterval(timer);
      for (const channel of channels) void publish(channel);
      while (pending > 0) await new Promise((resolve) => setTimeout(resolve, tickMs));
    },
    stop() {
      isStopped = true;
      clearInterval(timer);
    },
  };
}

interface Answer {
  status: number;
  body: { epoch: string; offset: number };
  retryAfter: string | null;
}

async function post(url: string, body: object): Promise<Answer> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    });
    const answer = (await response.json()) as Answer["body"];
    return { status: response.status, body: answer, retryAfter: response.headers.get("retry-after") };
  } catch {
    return { status: 0, body: { epoch: "", offset: 0 }, retryAfter: null };
  }
}
