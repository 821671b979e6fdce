import { kindOf } from "../protocol/names.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { LogEntry } from "./channel-log.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Publication } from "./publication.ts";

/** Names what a later publication of the channel with the same key makes needless; undefined for what is never left out. */
type KeyOf = (publication: Publication) => string | undefined;

/** How the channels of a kind conflate. */
export interface Conflation {
  /** Milliseconds. */
  readonly windowMs: number;
  readonly keyOf: KeyOf;
}

const byEvent: KeyOf = ({ event }) => event;

/** Statuses are steps, each of which counts; of signals only the latest of a name is kept anyway. */
const bySignal: KeyOf = ({ event, data }) => {
  const { orderId, name } = (event === "order.signal" ? data : {}) as { orderId?: unknown; name?: unknown };
  return name === undefined ? undefined : JSON.stringify([orderId, name]);
};

/** Kinds whose publications are not simply replaced by the next one of the same event. */
const rules: Record<string, KeyOf | "never"> = {
  order: bySignal,
  orders: bySignal,
  // A diff counts from the one before; a board conflates its scores by its tick.
  leaderboard: "never",
};

/** Undefined where every publication of the channel is sent. */
export function conflationOf(channel: string, conflateMs: number): Conflation | undefined {
  const keyOf = rules[kindOf(channel)] ?? byEvent;
  return conflateMs === 0 || keyOf === "never" ? undefined : { windowMs: conflateMs, keyOf };
}

/** Milliseconds by which a window may end late; a node that is later than that is fenced and delivers nothing. */
const latenessMs = 3_000;

/**
 * Timestamps are microseconds. What waited in a window when a connection was cut may carry a timestamp from before the last
 * publication of another channel that the connection read, so a return looks back a little.
 */
export const lookBack = ({ windowMs }: Conflation, timestamp: number): number =>
  timestamp - (windowMs + latenessMs) * 1_000;

/** Of each key the latest, in order, and what is never left out. */
export function latestOf({ keyOf }: Conflation, entries: readonly LogEntry[]): LogEntry[] {
  const latest = new Map<string | number, LogEntry>();
  for (const entry of entries) {
    const key = keyOf(JSON.parse(entry.json) as Publication) ?? entry.offset;
    latest.delete(key);
    latest.set(key, entry);
  }
  return [...latest.values()];
}

export interface ConflationWindowDeps {
  clock: Clock;
  /** Hands on what is to be sent. */
  send: (message: FeedMessage, key: string | undefined) => void;
  /** False while this node may not deliver. */
  mayDeliver: () => boolean;
  /** One publication was replaced by a later one. */
  onReplaced: () => void;
}

/**
 * What came to one channel since the last sending: of each key the latest, sent when the window ends, in the order in which
 * the latest came. What may not be left out ends the window, so that it is overtaken by nothing.
 */
export class ConflationWindow {
  readonly #conflation: Conflation;
  readonly #deps: ConflationWindowDeps;
  readonly #waiting = new Map<string, FeedMessage>();
  #cancel: Cancel | undefined;

  constructor(conflation: Conflation, deps: ConflationWindowDeps) {
    this.#conflation = conflation;
    this.#deps = deps;
  }

  offer(message: FeedMessage): void {
    const key = this.#conflation.keyOf(publicationOf(message));
    if (key === undefined) return this.#passAtOnce(message);
    if (this.#waiting.delete(key)) this.#deps.onReplaced();
    this.#waiting.set(key, message);
    this.#cancel ??= this.#deps.clock.after(this.#conflation.windowMs, () => this.#end());
  }

  /** Sends what waits. */
  flush(): void {
    const waiting = [...this.#waiting];
    this.clear();
    for (const [key, message] of waiting) this.#deps.send(message, key);
  }

  /** Forgets what waits. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#waiting.clear();
  }

  #passAtOnce(message: FeedMessage): void {
    this.flush();
    this.#deps.send(message, undefined);
  }

  /** A node that was frozen may have missed that somebody was shut out: then the window stays open. */
  #end(): void {
    if (this.#deps.mayDeliver()) return this.flush();
    this.#cancel = this.#deps.clock.after(this.#conflation.windowMs, () => this.#end());
  }
}

/** `42["publication",{…},"<timestamp>"]` */
function publicationOf({ packet }: FeedMessage): Publication {
  const [, publication] = JSON.parse(packet.toString("utf8", 2)) as [string, Publication];
  return publication;
}
