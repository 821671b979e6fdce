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

export interface Watch {
  /** A fresh token: counts from its end instead. Harmless after the end or `stop`. */
  renew(identity: Expiring): void;
  stop(): void;
}

/** Tells every connection of a node ahead of the end of its token or session, and at it. */
export interface ExpiryWatch {
  watch(identity: Expiring, listener: ExpiryListener): Watch;
  /** Ends all timers; nobody is told any more. */
  stop(): void;
}

export type Expiring = Pick<Identity, "issuedAt" | "expiresAt" | "expiresBy">;

/**
 * Timers are shared: everybody whose moment lies in the same tenth of a second has one. Tokens end at whole seconds, so
 * a node has at most as many timers as there are seconds in a token's life, however many connections it holds, none of
 * them ticks in vain, and the end is still met exactly. A connection costs one entry of one set.
 */
export function createExpiryWatch(
  { clock, log }: { clock: Clock; log: Logger },
  { aheadMs = 60_000 }: ExpiryWatchOptions = {},
): ExpiryWatch {
  const moments = createMoments(clock, (error) => log.error({ err: error }, "telling a connection of its end failed"));

  function watch(first: Expiring, listener: ExpiryListener): Watch {
    let forget: Cancel = () => undefined;

    function begin({ issuedAt, expiresAt, expiresBy }: Expiring): void {
      const ahead = Math.min(aheadMs, (expiresAt - issuedAt) / 10);
      forget = moments.at(expiresAt - ahead, () => {
        forget = moments.at(expiresAt, () => listener.expired(`${expiresBy}_expired`));
        listener.expiring(expiresAt);
      });
    }

    begin(first);
    let isOver = false;
    return {
      renew(identity) {
        if (isOver) return;
        forget();
        begin(identity);
      },
      stop() {
        isOver = true;
        forget();
      },
    };
  }

  return { watch, stop: moments.stop };
}

const grainMs = 100;

interface Moments {
  /** Runs at that epoch millisecond, or up to a tenth of a second after it; at once where it is past. */
  at: (time: number, run: () => void) => Cancel;
  stop: () => void;
}

interface Moment {
  runs: Set<() => void>;
  cancel: Cancel;
}

function createMoments(clock: Clock, failed: (error: unknown) => void): Moments {
  const due = new Map<number, Moment>();

  function at(time: number, run: () => void): Cancel {
    const moment = Math.ceil(time / grainMs) * grainMs;
    const entry = due.get(moment) ?? open(moment);
    entry.runs.add(run);
    return () => {
      // What has fired may have made room for another entry of the same moment, which is not ours to cancel.
      if (!entry.runs.delete(run) || entry.runs.size > 0 || due.get(moment) !== entry) return;
      entry.cancel();
      due.delete(moment);
    };
  }

  function open(moment: number): Moment {
    const entry = { runs: new Set<() => void>(), cancel: clock.after(moment - clock.now(), () => fire(moment)) };
    due.set(moment, entry);
    return entry;
  }

  function fire(moment: number): void {
    const entry = due.get(moment);
    if (entry === undefined) return;
    const earlyMs = moment - clock.now();
    // The longest timers, and those of a wall clock that was set back, come too early.
    if (earlyMs > 0) return void (entry.cancel = clock.after(earlyMs, () => fire(moment)));
    due.delete(moment);
    for (const run of entry.runs) attempt(run);
  }

  /** One listener that throws must not cost the others their turn. */
  function attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      failed(error);
    }
  }

  function stop(): void {
    for (const { cancel } of due.values()) cancel();
    due.clear();
  }

  return { at, stop };
}
