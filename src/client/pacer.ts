import { deferred } from "./deferred.ts";
import { TidegateError } from "./errors.ts";

/** Delay where the gateway refused and named none, in milliseconds. */
const defaultDelayMs = 1_000;

/** How the gap between two tasks grows with a refusal, and shrinks with each task let through. */
const growth = 1.25;
const shrinkage = 0.98;

/**
 * Runs tasks a few at a time. A client with a hundred channels that comes back would otherwise empty its own bucket at
 * once and be refused a hundred times. After the first `rate_limited` the tasks go one by one, at about the pace at
 * which the bucket fills, until none is left.
 */
export class Pacer {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #gapMs = 0;
  #notBefore = 0;
  #slowedAt = 0;
  #isWaking = false;

  constructor(most: number) {
    this.#most = most;
  }

  /** Runs `task`, again for as long as it is refused with `rate_limited`. */
  async run<T>(task: () => Promise<T>): Promise<T> {
    for (;;) {
      await this.#turn();
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
        this.#next();
      }
    }
  }

  #turn(): Promise<void> {
    const { promise, resolve } = deferred();
    this.#waiting.push(resolve);
    this.#next();
    return promise;
  }

  #next(): void {
    if (this.#waiting.length === 0 && this.#running === 0) this.#gapMs = 0;
    while (this.#running < this.#most) {
      const waitMs = this.#notBefore - performance.now();
      if (waitMs > 0) return this.#wake(waitMs);
      const begin = this.#waiting.shift();
      if (begin === undefined) return;
      this.#running += 1;
      this.#notBefore = performance.now() + this.#gapMs;
      begin();
    }
  }

  #wake(waitMs: number): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    setTimeout(() => {
      this.#isWaking = false;
      this.#next();
    }, waitMs);
  }

  /** Tasks that were under way together are refused together; that counts once. */
  #slowDown(begun: number, retryAfterMs: number): void {
    if (begun < this.#slowedAt) return;
    this.#slowedAt = performance.now();
    this.#gapMs = Math.max(this.#gapMs * growth, retryAfterMs);
    this.#notBefore = this.#slowedAt + this.#gapMs;
  }
}
