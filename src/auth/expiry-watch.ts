import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Identity } from "./identity.ts";

export interface ExpiryWatchOptions {
  /** How long before the end a connection is warned; at most a tenth of the token's life. @default 60000 */
  aheadMs?: number | undefined;
}

/** Callbacks of one connection. */
export interface ExpiryListener {
  expiring(expiresAt: number): void;
  expired(code: "token_expired" | "session_expired"): void;
}

export interface ExpiryTimer {
  /** Uses the expiry of a fresh token from now on. Harmless after the end or `stop`. */
  renew(identity: Expiring): void;
  stop(): void;
}

/** Notifies every connection of a node ahead of the end of its token or session, and at it. */
export interface ExpiryWatch {
  watch(identity: Expiring, listener: ExpiryListener): ExpiryTimer;
  /** Cancels all timers. */
  stop(): void;
}

export type Expiring = Pick<Identity, "issuedAt" | "expiresAt" | "expiresBy" | "slidingMs">;

/**
 * Connections due in the same tenth of a second share a timer. Tokens end at whole seconds, so a node has at most as many
 * timers as a token's life has seconds, however many connections it holds, and no timer fires without need. A connection
 * costs one object and one entry of one set.
 */
export function createExpiryWatch(
  { clock, log }: { clock: Clock; log: Logger },
  { aheadMs = 60_000 }: ExpiryWatchOptions = {},
): ExpiryWatch {
  const buckets = new TimerBuckets(clock, (error) =>
    log.error({ err: error }, "notifying a connection that its token expires failed"),
  );
  const context = { buckets, aheadMs };
  return {
    watch: (identity, listener) => new ConnectionExpiry(identity, listener, context),
    stop: () => buckets.stop(),
  };
}

class ConnectionExpiry implements ExpiryTimer, TimerTarget {
  readonly #listener: ExpiryListener;
  readonly #context: { buckets: TimerBuckets; aheadMs: number };
  #identity: Expiring;
  #bucket: TimerBucket;
  #isWarned = false;
  #isOver = false;

  constructor(identity: Expiring, listener: ExpiryListener, context: { buckets: TimerBuckets; aheadMs: number }) {
    this.#listener = listener;
    this.#context = context;
    this.#identity = identity;
    this.#bucket = this.#begin();
  }

  renew(identity: Expiring): void {
    if (this.#isOver) return;
    this.#context.buckets.remove(this, this.#bucket);
    this.#identity = identity;
    this.#isWarned = false;
    this.#bucket = this.#begin();
  }

  stop(): void {
    this.#isOver = true;
    this.#context.buckets.remove(this, this.#bucket);
  }

  fire(): void {
    const { expiresAt, expiresBy } = this.#identity;
    if (this.#isWarned) return this.#listener.expired(`${expiresBy}_expired`);
    this.#isWarned = true;
    this.#bucket = this.#context.buckets.add(this, expiresAt);
    this.#listener.expiring(expiresAt);
  }

  #begin(): TimerBucket {
    const { issuedAt, expiresAt, expiresBy, slidingMs } = this.#identity;
    const lifeMs = expiresBy === "session" && slidingMs !== undefined ? slidingMs : expiresAt - issuedAt;
    const ahead = Math.min(this.#context.aheadMs, lifeMs / 10);
    return this.#context.buckets.add(this, expiresAt - ahead);
  }
}

const resolutionMs = 100;

/** Called when its time has come. */
interface TimerTarget {
  fire(): void;
}

interface TimerBucket {
  readonly at: number;
  readonly due: Set<TimerTarget>;
  cancel: Cancel;
}

class TimerBuckets {
  readonly #clock: Clock;
  readonly #failed: (error: unknown) => void;
  readonly #buckets = new Map<number, TimerBucket>();

  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Fires at that epoch millisecond, or up to a tenth of a second later; immediately if it has passed. */
  add(due: TimerTarget, time: number): TimerBucket {
    const at = Math.ceil(time / resolutionMs) * resolutionMs;
    const bucket = this.#buckets.get(at) ?? this.#open(at);
    bucket.due.add(due);
    return bucket;
  }

  remove(due: TimerTarget, bucket: TimerBucket): void {
    // After it fired, another bucket of the same time may exist, which must not be cancelled.
    if (!bucket.due.delete(due) || bucket.due.size > 0 || this.#buckets.get(bucket.at) !== bucket) return;
    bucket.cancel();
    this.#buckets.delete(bucket.at);
  }

  stop(): void {
    for (const { cancel } of this.#buckets.values()) cancel();
    this.#buckets.clear();
  }

  #open(at: number): TimerBucket {
    const bucket = { at, due: new Set<TimerTarget>(), cancel: this.#wait(at) };
    this.#buckets.set(at, bucket);
    return bucket;
  }

  #wait(at: number): Cancel {
    return this.#clock.after(at - this.#clock.now(), () => this.#fire(at));
  }

  #fire(at: number): void {
    const bucket = this.#buckets.get(at);
    if (bucket === undefined) return;
    // The longest timers fire too early, as do all if the wall clock was set back.
    if (at > this.#clock.now()) return void (bucket.cancel = this.#wait(at));
    this.#buckets.delete(at);
    for (const due of bucket.due) this.#attempt(due);
  }

  /** A listener that throws must not affect the others. */
  #attempt(due: TimerTarget): void {
    try {
      due.fire();
    } catch (error) {
      this.#failed(error);
    }
  }
}
