import { GatewayError } from "../protocol/errors.ts";
import type { Board } from "./boards.ts";
import type { KeyedSubmission, Submission, SubmissionStore, SingleSubmissionResult } from "./submission-store.ts";

interface PendingSubmission {
  submission: Submission;
  /** Idempotency key; either all or none of a call have one. */
  key: string | undefined;
  /** How long the key is remembered. @default that of the store */
  ttlSeconds: number | undefined;
  resolve: (submitted: SingleSubmissionResult) => void;
  reject: (error: unknown) => void;
}

/** One call to the store, by member. */
type StoreCall = Map<string, PendingSubmission>;

/** Calls for one board to make at the end of this tick; each contains a member at most once. */
interface PendingBoard {
  board: Board;
  calls: StoreCall[];
}

/**
 * Batches single submissions per tick: one script for a hundred costs little more than half of a hundred scripts. Each
 * still gets the result it would have got alone, so two submissions of one member go in two successive calls; so do
 * those with an idempotency key and those without.
 */
export class SubmissionQueue {
  readonly #store: SubmissionStore;
  readonly #pending = new Map<string, PendingBoard>();

  constructor(store: SubmissionStore) {
    this.#store = store;
  }

  submit(board: Board, submission: Submission, key?: string, ttlSeconds?: number): Promise<SingleSubmissionResult> {
    return new Promise((resolve, reject) => {
      const waiting = { submission, key, ttlSeconds, resolve, reject };
      this.#callFor(board, waiting).set(submission.member, waiting);
    });
  }

  #callFor(board: Board, { submission: { member }, key }: PendingSubmission): StoreCall {
    const { calls } = this.#pendingOf(board);
    const last = calls.at(-1);
    if (last !== undefined && !last.has(member) && isKeyed(last) === (key !== undefined)) return last;
    const call: StoreCall = new Map();
    calls.push(call);
    return call;
  }

  #pendingOf(board: Board): PendingBoard {
    const known = this.#pending.get(board.name);
    if (known !== undefined) return known;
    if (this.#pending.size === 0) setImmediate(() => this.#flush());
    const pendingBoard: PendingBoard = { board, calls: [] };
    this.#pending.set(board.name, pendingBoard);
    return pendingBoard;
  }

  /** Sends all calls at once over one connection, so Redis executes them in this order. */
  #flush(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { board, calls } of pending) for (const call of calls) void this.#make(board, call);
  }

  async #make(board: Board, call: StoreCall): Promise<void> {
    const waiting = [...call.values()];
    try {
      const submitted = await (isKeyed(call) ? this.#submitKeyed(board, waiting) : this.#submit(board, waiting));
      for (const [index, { resolve, reject }] of waiting.entries()) {
        const one = submitted[index] as SingleSubmissionResult | GatewayError;
        if (one instanceof GatewayError) reject(one);
        else resolve(one);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #submit(board: Board, waiting: readonly PendingSubmission[]): Promise<SingleSubmissionResult[]> {
    const submissions = waiting.map(({ submission }) => submission);
    const { total, results } = await this.#store.submit(board, submissions, { withRanks: true });
    return results.map((result) => ({ total, result }));
  }

  #submitKeyed(
    board: Board,
    waiting: readonly PendingSubmission[],
  ): Promise<(SingleSubmissionResult | GatewayError)[]> {
    const submissions = waiting.map(({ submission, key }): KeyedSubmission => ({
      ...submission,
      idempotencyKey: key as string,
    }));
    // A key may be remembered for longer than asked.
    const ttls = waiting.flatMap(({ ttlSeconds = [] }) => ttlSeconds);
    return this.#store.submitEach(board, submissions, ttls.length === 0 ? undefined : Math.max(...ttls));
  }
}

function isKeyed(call: StoreCall): boolean {
  const [first] = call.values();
  return first?.key !== undefined;
}
