import { GatewayError } from "../protocol/errors.ts";
import type { Board } from "./boards.ts";
import type { KeyedSubmission, Submission, SubmissionStore, SubmittedAlone } from "./submission-store.ts";

interface Waiting {
  submission: Submission;
  /** Its idempotency key, which all of a call have or none. */
  key: string | undefined;
  resolve: (submitted: SubmittedAlone) => void;
  reject: (error: unknown) => void;
}

/** One call of the store, by member. */
type Call = Map<string, Waiting>;

/** Calls of one board to be made in this turn of the event loop; each names a member at most once. */
interface Turn {
  board: Board;
  calls: Call[];
}

/**
 * Single submissions that come in one turn of the event loop go to the store together: a script for a hundred costs
 * little more than half of a hundred scripts. Each is still answered as if it had come alone, so two of one member go
 * in two calls, one after the other; so do those with an idempotency key and those without.
 */
export class SubmissionQueue {
  readonly #store: SubmissionStore;
  readonly #turns = new Map<string, Turn>();

  constructor(store: SubmissionStore) {
    this.#store = store;
  }

  submit(board: Board, submission: Submission, key?: string): Promise<SubmittedAlone> {
    return new Promise((resolve, reject) => {
      const waiting = { submission, key, resolve, reject };
      this.#callFor(board, waiting).set(submission.member, waiting);
    });
  }

  #callFor(board: Board, { submission: { member }, key }: Waiting): Call {
    const { calls } = this.#turn(board);
    const last = calls.at(-1);
    if (last !== undefined && !last.has(member) && isKeyed(last) === (key !== undefined)) return last;
    const call: Call = new Map();
    calls.push(call);
    return call;
  }

  #turn(board: Board): Turn {
    const known = this.#turns.get(board.name);
    if (known !== undefined) return known;
    if (this.#turns.size === 0) setImmediate(() => this.#flush());
    const turn: Turn = { board, calls: [] };
    this.#turns.set(board.name, turn);
    return turn;
  }

  /** All calls leave at once, over one connection: the store takes them in this order. */
  #flush(): void {
    const turns = [...this.#turns.values()];
    this.#turns.clear();
    for (const { board, calls } of turns) for (const call of calls) void this.#make(board, call);
  }

  async #make(board: Board, call: Call): Promise<void> {
    const waiting = [...call.values()];
    try {
      const submitted = await (isKeyed(call) ? this.#submitKeyed(board, waiting) : this.#submit(board, waiting));
      for (const [index, { resolve, reject }] of waiting.entries()) {
        const one = submitted[index] as SubmittedAlone | GatewayError;
        if (one instanceof GatewayError) reject(one);
        else resolve(one);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #submit(board: Board, waiting: readonly Waiting[]): Promise<SubmittedAlone[]> {
    const submissions = waiting.map(({ submission }) => submission);
    const { total, standings } = await this.#store.submit(board, submissions, { withRanks: true });
    return standings.map((standing) => ({ total, standing }));
  }

  #submitKeyed(board: Board, waiting: readonly Waiting[]): Promise<(SubmittedAlone | GatewayError)[]> {
    const submissions = waiting.map(({ submission, key }): KeyedSubmission => ({
      ...submission,
      idempotencyKey: key as string,
    }));
    return this.#store.submitEach(board, submissions);
  }
}

function isKeyed(call: Call): boolean {
  const [first] = call.values();
  return first?.key !== undefined;
}
