import { pause } from "./backoff.ts";
import { TidegateError } from "./errors.ts";

/** How much of the pace comes back with each task that was let through. */
const recoveryStep = 0.25;

/** Rest where the gateway named none, in milliseconds. */
const defaultRestMs = 1_000;

/**
 * Runs tasks a few at a time. A client with a hundred channels that comes back would otherwise empty its own bucket at
 * once: on `rate_limited` nothing begins until the rest is over, then one at a time, and the pace grows back slowly.
 */
export class Pacer {
  readonly #most: number;
  #atOnce: number;
  #running = 0;
  #isResting = false;
  readonly #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
    this.#atOnce = most;
  }

  /** Runs `task`, again for as long as it is refused with `rate_limited`. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#turn();
      try {
        const result = await task();
        this.#atOnce = Math.min(this.#most, this.#atOnce + recoveryStep);
        return result;
      } catch (error) {
        if (!(error instanceof TidegateError) || error.code !== "rate_limited") throw error;
        this.#rest(error.retryAfterMs ?? defaultRestMs);
      } finally {
        this.#running -= 1;
        this.#next();
      }
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    this.#next();
    return promise;
  }

  #next(): void {
    while (!this.#isResting && this.#running < Math.floor(this.#atOnce)) {
      const begin = this.#waiting.shift();
      if (begin === undefined) return;
      this.#running += 1;
      begin();
    }
  }

  #rest(durationMs: number): void {
    this.#atOnce = 1;
    if (this.#isResting) return;
    this.#isResting = true;
    void pause(durationMs).over.then(() => {
      this.#isResting = false;
      this.#next();
    });
  }
}
