import { AppFault } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";

/** Milliseconds in which repeated errors of one place are logged once. */
const quietMs = 1_000;

/** Counts unexpected errors and logs them, at most one per place and second, so that clients cannot fill the log. */
export class ErrorReporter {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #count: Metrics["eventErrors"];
  readonly #places = new Map<string, { quietUntil: number; unlogged: number }>();

  constructor({ clock, log, metrics }: { clock: Clock; log: Logger; metrics: Pick<Metrics, "eventErrors"> }) {
    this.#clock = clock;
    this.#log = log;
    this.#count = metrics.eventErrors;
  }

  /**
   * `place` comes from a closed set: the name of a handler, or of a place in our code. What clients choose belongs into
   * `details`.
   */
  report(place: string, error: unknown, details: Readonly<Record<string, unknown>> = {}): void {
    this.#count.inc();
    const entry = this.#places.get(place) ?? { quietUntil: 0, unlogged: 0 };
    this.#places.set(place, entry);
    const now = this.#clock.monotonic();
    if (now < entry.quietUntil) return void (entry.unlogged += 1);
    const fields = error instanceof AppFault ? error.fault : { err: error };
    const repeated = entry.unlogged === 0 ? {} : { repeated: entry.unlogged };
    this.#log.error({ place, ...details, ...fields, ...repeated }, "failed");
    entry.quietUntil = now + quietMs;
    entry.unlogged = 0;
  }

  /** Wraps a callback without a caller that could catch, such as a timer's. */
  guard(place: string, run: () => void): () => void {
    return () => {
      try {
        run();
      } catch (error) {
        this.report(place, error);
      }
    };
  }
}
