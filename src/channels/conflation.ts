import { kindOf } from "../protocol/names.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { LogEntry } from "./log-entry.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Publication } from "./publication.ts";

/** A later publication with the same key replaces an earlier one; undefined if it must never be left out. */
type KeyOf = (publication: Publication) => string | undefined;

/** Conflation of the channels of one kind. */
export interface Conflation {
  /** Milliseconds. */
  readonly windowMs: number;
  readonly keyOf: KeyOf;
}

const byEvent: KeyOf = ({ event }) => event;

/** Every status of an order is delivered; of signals only the latest of each name. */
const bySignal: KeyOf = ({ event, data }) => {
  const { orderId, name } = (event === "order.signal" ? data : {}) as { orderId?: unknown; name?: unknown };
  return name === undefined ? undefined : JSON.stringify([orderId, name]);
};

/** Kinds that do not conflate by event name. */
const rules: Record<string, KeyOf | "never"> = {
  order: bySignal,
  orders: bySignal,
  // A diff builds on the previous one; boards conflate scores by their tick.
  leaderboard: "never",
};

/** Undefined if every publication of the channel is delivered. */
export function conflationOf(channel: string, conflateMs: number): Conflation | undefined {
  const keyOf = rules[kindOf(channel)] ?? byEvent;
  return conflateMs === 0 || keyOf === "never" ? undefined : { windowMs: conflateMs, keyOf };
}

/** Milliseconds by which a window may end late; a later node is fenced and delivers nothing. */
const latenessMs = 3_000;

/**
 * Where to start reading, in microseconds. A publication that waited in a window when the connection was lost may have an
 * older timestamp than the last publication the client received from another channel.
 */
export const lookBack = ({ windowMs }: Conflation, timestamp: number): number =>
  timestamp - (windowMs + latenessMs) * 1_000;

/** The latest entry of each key, and all entries without a key, in order. */
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
  /** Delivers a message. */
  send: (message: FeedMessage, key: string | undefined) => void;
  /** False while this node may not deliver. */
  mayDeliver: () => boolean;
  /** Called when a publication is replaced by a later one. */
  onReplaced: () => void;
}

/**
 * Holds the latest publication of each key of one channel and sends them when the window ends, in the order in which the
 * latest arrived. A publication without a key ends the window early, so that no other overtakes it.
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

  /** Sends everything that is held. */
  flush(): void {
    const waiting = [...this.#waiting];
    this.clear();
    for (const [key, message] of waiting) this.#deps.send(message, key);
  }

  /** Discards everything that is held. */
  clear(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#waiting.clear();
  }

  #passAtOnce(message: FeedMessage): void {
    this.flush();
    this.#deps.send(message, undefined);
  }

  /** A node that was frozen may have missed revocations; until it has read them, the window stays open. */
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
