import { deferred } from "./deferred.ts";
import { TidegateError } from "./errors.ts";

/** Delay in milliseconds after a refusal without `retryAfterMs`. */
const defaultDelayMs = 1_000;

/** Factors by which the gap between tasks grows after a refusal and shrinks after each success. */
const growth = 1.25;
const shrinkage = 0.98;

/**
 * Runs a limited number of tasks at a time. Without it, a reconnecting client with a hundred channels would empty its
 * token bucket and be refused a hundred times. After the first `rate_limited`, tasks run one by one at about the
 * bucket's refill rate until none is left.
 */
export class Pacer {
  readonly #maxRunning: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #gapMs = 0;
  #notBefore = 0;
  #slowedAt = 0;
  #hasTimer = false;

  constructor(maxRunning: number) {
    this.#maxRunning = maxRunning;
  }

  /** Runs `task`, and retries it as long as it is refused with `rate_limited`. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#waitForTurn();
      const begun = performance.now();
      try {
        const result = await task();
        this.#gapMs *= shrinkage;
        return result;
      } catch (error) {
        if (!(error instanceof TidegateError) || error.code !== "rate_limited") throw error;
        this.#slowDown(begun, error.retryAfterMs ?? defaultDelayMs);
      } finally {
        this.#running -= 1;
        this.#startNext();
      }
    }
  }

  #waitForTurn(): Promise<void> {
    const { promise, resolve } = deferred();
    this.#waiting.push(resolve);
    this.#startNext();
    return promise;
  }

  #startNext(): void {
    if (this.#waiting.length === 0 && this.#running === 0) this.#gapMs = 0;
    while (this.#running < this.#maxRunning) {
      const waitMs = this.#notBefore - performance.now();
      if (waitMs > 0) return this.#startLater(waitMs);
      const begin = this.#waiting.shift();
      if (begin === undefined) return;
      this.#running += 1;
      this.#notBefore = performance.now() + this.#gapMs;
      begin();
    }
  }

  #startLater(waitMs: number): void {
    if (this.#hasTimer) return;
    this.#hasTimer = true;
    setTimeout(() => {
      this.#hasTimer = false;
      this.#startNext();
    }, waitMs);
  }

  /** Tasks that ran concurrently are refused together, which counts once. */
  #slowDown(begun: number, retryAfterMs: number): void {
    if (begun < this.#slowedAt) return;
    this.#slowedAt = performance.now();
    this.#gapMs = Math.max(this.#gapMs * growth, retryAfterMs);
    this.#notBefore = this.#slowedAt + this.#gapMs;
  }
}
