import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";

/** Milliseconds in which a place that fails again and again is logged once. */
const quietMs = 1_000;

/** Exceptions of the edge: each is counted, none leaves its place, and a stranger who provokes them cannot fill the log. */
export class Failures {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #count: Metrics["eventErrors"];
  readonly #places = new Map<string, { quietUntil: number; unlogged: number }>();

  constructor({ clock, log, metrics }: { clock: Clock; log: Logger; metrics: Pick<Metrics, "eventErrors"> }) {
    this.#clock = clock;
    this.#log = log;
    this.#count = metrics.eventErrors;
  }

  /** `place` comes from a closed set: the name of a handler, or of a spot in our code. */
  report(place: string, error: unknown): void {
    this.#count.inc();
    const entry = this.#places.get(place) ?? { quietUntil: 0, unlogged: 0 };
    this.#places.set(place, entry);
    const now = this.#clock.monotonic();
    if (now < entry.quietUntil) return void (entry.unlogged += 1);
    this.#log.error({ place, err: error, repeated: entry.unlogged }, "failed");
    entry.quietUntil = now + quietMs;
    entry.unlogged = 0;
  }

  /** For callbacks that nobody stands behind, such as timers. */
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
