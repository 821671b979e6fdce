import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Identity } from "./identity.ts";

export interface ExpiryWatchOptions {
  /** How long before the end a connection is told; a tenth of the token's life where that is shorter. @default 60000 */
  aheadMs?: number | undefined;
}

/** What happens to one connection. */
export interface ExpiryListener {
  expiring(expiresAt: number): void;
  expired(code: "token_expired" | "session_expired"): void;
}

export interface ExpiryTimer {
  /** A fresh token: counts from its end instead. Harmless after the end or `stop`. */
  renew(identity: Expiring): void;
  stop(): void;
}

/** Tells every connection of a node ahead of the end of its token or session, and at it. */
export interface ExpiryWatch {
  watch(identity: Expiring, listener: ExpiryListener): ExpiryTimer;
  /** Ends all timers; nobody is told any more. */
  stop(): void;
}

export type Expiring = Pick<Identity, "issuedAt" | "expiresAt" | "expiresBy">;

/**
 * Timers are shared: everybody whose moment lies in the same tenth of a second has one. Tokens end at whole seconds, so
 * a node has at most as many timers as there are seconds in a token's life, however many connections it holds, none of
 * them ticks in vain, and the end is still met exactly. A connection costs one object and one entry of one set.
 */
export function createExpiryWatch(
  { clock, log }: { clock: Clock; log: Logger },
  { aheadMs = 60_000 }: ExpiryWatchOptions = {},
): ExpiryWatch {
  const moments = new TimerBuckets(clock, (error) =>
    log.error({ err: error }, "notifying a connection that its token expires failed"),
  );
  const context = { moments, aheadMs };
  return {
    watch: (identity, listener) => new ConnectionExpiry(identity, listener, context),
    stop: () => moments.stop(),
  };
}

class ConnectionExpiry implements ExpiryTimer, TimerTarget {
  readonly #listener: ExpiryListener;
  readonly #context: { moments: TimerBuckets; aheadMs: number };
  #identity: Expiring;
  #moment: TimerBucket;
  #wasTold = false;
  #isOver = false;

  constructor(identity: Expiring, listener: ExpiryListener, context: { moments: TimerBuckets; aheadMs: number }) {
    this.#listener = listener;
    this.#context = context;
    this.#identity = identity;
    this.#moment = this.#begin();
  }

  renew(identity: Expiring): void {
    if (this.#isOver) return;
    this.#context.moments.remove(this, this.#moment);
    this.#identity = identity;
    this.#wasTold = false;
    this.#moment = this.#begin();
  }

  stop(): void {
    this.#isOver = true;
    this.#context.moments.remove(this, this.#moment);
  }

  fire(): void {
    const { expiresAt, expiresBy } = this.#identity;
    if (this.#wasTold) return this.#listener.expired(`${expiresBy}_expired`);
    this.#wasTold = true;
    this.#moment = this.#context.moments.add(this, expiresAt);
    this.#listener.expiring(expiresAt);
  }

  #begin(): TimerBucket {
    const { issuedAt, expiresAt } = this.#identity;
    const ahead = Math.min(this.#context.aheadMs, (expiresAt - issuedAt) / 10);
    return this.#context.moments.add(this, expiresAt - ahead);
  }
}

const resolutionMs = 100;

/** Somebody whose time comes. */
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
  readonly #ahead = new Map<number, TimerBucket>();

  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** Fires at that epoch millisecond, or up to a tenth of a second after it; at once where it is past. */
  add(due: TimerTarget, time: number): TimerBucket {
    const at = Math.ceil(time / resolutionMs) * resolutionMs;
    const moment = this.#ahead.get(at) ?? this.#open(at);
    moment.due.add(due);
    return moment;
  }

  remove(due: TimerTarget, moment: TimerBucket): void {
    // What has fired may have made room for another of the same time, which is not ours to cancel.
    if (!moment.due.delete(due) || moment.due.size > 0 || this.#ahead.get(moment.at) !== moment) return;
    moment.cancel();
    this.#ahead.delete(moment.at);
  }

  stop(): void {
    for (const { cancel } of this.#ahead.values()) cancel();
    this.#ahead.clear();
  }

  #open(at: number): TimerBucket {
    const moment = { at, due: new Set<TimerTarget>(), cancel: this.#wait(at) };
    this.#ahead.set(at, moment);
    return moment;
  }

  #wait(at: number): Cancel {
    return this.#clock.after(at - this.#clock.now(), () => this.#fire(at));
  }

  #fire(at: number): void {
    const moment = this.#ahead.get(at);
    if (moment === undefined) return;
    // The longest timers, and those of a wall clock that was set back, come too early.
    if (at > this.#clock.now()) return void (moment.cancel = this.#wait(at));
    this.#ahead.delete(at);
    for (const due of moment.due) this.#attempt(due);
  }

  /** One listener that throws must not cost the others their turn. */
  #attempt(due: TimerTarget): void {
    try {
      due.fire();
    } catch (error) {
      this.#failed(error);
    }
  }
}
