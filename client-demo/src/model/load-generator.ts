import { type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { TidegateError } from "../../../src/client/client.ts";
import type { Demo } from "./demo.ts";

/** Results of the messages sent within one interval. */
export interface Bin {
  /** Number of the interval since the view opened. */
  index: number;
  level: number;
  accepted: number;
  refused: number;
}

export interface Totals {
  accepted: number;
  refused: number;
  retryAfterMs: number | undefined;
  /** The last error other than `rate_limited`. */
  error: string | undefined;
}

/** Sends messages and counts the results. */
export interface LoadGenerator {
  readonly level: ReadonlySignal<number>;
  /** The latest intervals; the current one is last. */
  readonly bins: ReadonlySignal<readonly Bin[]>;
  readonly totals: ReadonlySignal<Totals>;
  /** Messages sent per second; 0 stops. */
  readonly ratePerSecond: Signal<number>;
  send(count: number): void;
  stop(): void;
}

export const binMs = 200;
export const maxBins = 75;
const tickMs = 50;
const target = "chat:bucket";

export function createLoadGenerator({ client, bucket }: Demo): LoadGenerator {
  const level = signal(bucket.level());
  const bins = signal<readonly Bin[]>([]);
  const totals = signal<Totals>({ accepted: 0, refused: 0, retryAfterMs: undefined, error: undefined });
  const ratePerSecond = signal(0);
  const channel = client.channel(target);
  const begun = performance.now();
  let outstanding = 0;
  let current: Bin = { index: 0, level: bucket.level(), accepted: 0, refused: 0 };

  async function sendOne(): Promise<void> {
    try {
      await channel.publish("message", null);
      note({ accepted: 1 });
    } catch (error) {
      if (!(error instanceof TidegateError)) throw error;
      if (error.code === "rate_limited") refused(error.retryAfterMs ?? 0);
      else totals.value = { ...totals.value, error: `${error.code}: ${error.message}` };
    }
  }

  function refused(retryAfterMs: number): void {
    bucket.refused("publish", retryAfterMs);
    note({ refused: 1, retryAfterMs });
  }

  function note({ accepted = 0, refused = 0, retryAfterMs = totals.value.retryAfterMs }: Partial<Totals>): void {
    const before = totals.value;
    totals.value = {
      accepted: before.accepted + accepted,
      refused: before.refused + refused,
      retryAfterMs,
      error: undefined,
    };
    current = { ...current, accepted: current.accepted + accepted, refused: current.refused + refused };
  }

  function send(count: number): void {
    for (let sent = 0; sent < count; sent += 1) void sendOne();
    show();
  }

  function show(): void {
    level.value = bucket.level();
    const index = Math.floor((performance.now() - begun) / binMs);
    const past = bins.value.filter((bin) => bin.index !== current.index && bin.index > index - maxBins);
    if (index === current.index) current = { ...current, level: level.value };
    bins.value = [...past, current];
    if (index !== current.index) current = { index, level: level.value, accepted: 0, refused: 0 };
  }

  function tick(): void {
    outstanding += (ratePerSecond.value * tickMs) / 1_000;
    const due = Math.floor(outstanding);
    outstanding -= due;
    if (client.state === "connected") send(due);
    else show();
  }

  const timer = setInterval(tick, tickMs);
  // Disconnected for exceeding the limit: continuing would only repeat that.
  const off = client.on("closing", () => (ratePerSecond.value = 0));
  return {
    level,
    bins,
    totals,
    ratePerSecond,
    send,
    stop() {
      clearInterval(timer);
      off();
    },
  };
}
