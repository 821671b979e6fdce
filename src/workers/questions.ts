import type { Clock } from "../runtime/clock.ts";

/** Questions sent to another process, each with a number that its answer carries. */
export class Questions {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #open = new Map<number, (answer: string | undefined) => void>();
  #asked = 0;

  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
  }

  /** Undefined where no answer has come in time. */
  ask(send: (id: number) => void): Promise<string | undefined> {
    const id = ++this.#asked;
    return new Promise((resolve) => {
      const cancel = this.#clock.after(this.#patienceMs, () => this.answer(id, undefined));
      this.#open.set(id, (answer) => {
        cancel();
        resolve(answer);
      });
      send(id);
    });
  }

  answer(id: number, answer: string | undefined): void {
    this.#open.get(id)?.(answer);
    this.#open.delete(id);
  }
}
