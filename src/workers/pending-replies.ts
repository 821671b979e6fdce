import type { Clock } from "../runtime/clock.ts";

/** Requests to another process, each with an id that its reply repeats. */
export class PendingReplies {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, (answer: string | undefined) => void>();
  #lastId = 0;

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** Undefined if no reply arrives in time. */
  request(send: (id: number) => void): Promise<string | undefined> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#timeoutMs, () => this.resolve(id, undefined));
      this.#pending.set(id, (answer) => {
        cancel();
        resolve(answer);
      });
      send(id);
    });
  }

  resolve(id: number, answer: string | undefined): void {
    this.#pending.get(id)?.(answer);
    this.#pending.delete(id);
  }
}
