import type { BoardStore, Standing, Submission } from "./board-store.ts";
import type { Board } from "./boards.ts";

/** Where one submission led to. */
export interface QueuedStanding {
  standing: Standing | "overflow";
  total: number;
}

interface Waiting {
  submission: Submission;
  resolve: (standing: QueuedStanding) => void;
  reject: (error: unknown) => void;
}

/** Calls of one board to be made in this turn of the event loop; each names a member at most once. */
interface Turn {
  board: Board;
  calls: Map<string, Waiting>[];
}

/**
 * Single submissions that come in one turn of the event loop go to the store together: a script for a hundred costs
 * little more than half of a hundred scripts. Each is still answered as if it had come alone, so two of one member go
 * in two calls, one after the other.
 */
export class SubmissionQueue {
  readonly #store: Pick<BoardStore, "submit">;
  readonly #turns = new Map<string, Turn>();

  constructor(store: Pick<BoardStore, "submit">) {
    this.#store = store;
  }

  submit(board: Board, submission: Submission): Promise<QueuedStanding> {
    return new Promise((resolve, reject) => {
      this.#callFor(board, submission.member).set(submission.member, { submission, resolve, reject });
    });
  }

  #callFor(board: Board, member: string): Map<string, Waiting> {
    const { calls } = this.#turn(board);
    const last = calls.at(-1);
    if (last !== undefined && !last.has(member)) return last;
    const call = new Map<string, Waiting>();
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
    for (const { board, calls } of turns) for (const call of calls) void this.#make(board, [...call.values()]);
  }

  async #make(board: Board, call: readonly Waiting[]): Promise<void> {
    try {
      const submissions = call.map(({ submission }) => submission);
      const { total, standings } = await this.#store.submit(board, submissions, { withRanks: true });
      for (const [index, { resolve }] of call.entries()) {
        resolve({ standing: standings[index] as Standing | "overflow", total });
      }
    } catch (error) {
      for (const { reject } of call) reject(error);
    }
  }
}
