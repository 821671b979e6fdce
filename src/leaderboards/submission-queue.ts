import type { BoardStore, OnceKey, Standing, Submission } from "./board-store.ts";
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

/** One call of the store. It names a member at most once; where it has an idempotency key it carries one submission. */
interface Call {
  members: Map<string, Waiting>;
  once: OnceKey | undefined;
}

/** Calls of one board to be made in this turn of the event loop. */
interface Turn {
  board: Board;
  calls: Call[];
}

/**
 * Single submissions that come in one turn of the event loop go to the store together: a script for a hundred costs
 * little more than half of a hundred scripts. Each is still answered as if it had come alone, so two of one member go
 * in two calls, one after the other, and one with an idempotency key goes in a call of its own.
 */
export class SubmissionQueue {
  readonly #store: Pick<BoardStore, "submit">;
  readonly #turns = new Map<string, Turn>();

  constructor(store: Pick<BoardStore, "submit">) {
    this.#store = store;
  }

  submit(board: Board, submission: Submission, once?: OnceKey): Promise<QueuedStanding> {
    return new Promise((resolve, reject) => {
      const { members } = this.#callFor(board, submission.member, once);
      members.set(submission.member, { submission, resolve, reject });
    });
  }

  #callFor(board: Board, member: string, once: OnceKey | undefined): Call {
    const { calls } = this.#turn(board);
    const last = calls.at(-1);
    const mayJoin = once === undefined && last !== undefined && last.once === undefined && !last.members.has(member);
    if (mayJoin) return last;
    const call: Call = { members: new Map(), once };
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

  async #make(board: Board, { members, once }: Call): Promise<void> {
    const waiting = [...members.values()];
    try {
      const submissions = waiting.map(({ submission }) => submission);
      const { total, standings } = await this.#store.submit(board, submissions, { withRanks: true, once });
      for (const [index, { resolve }] of waiting.entries()) {
        resolve({ standing: standings[index] as Standing | "overflow", total });
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }
}
