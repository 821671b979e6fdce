import type { DeadLetterStore, StoredDeadLetter } from "./dead-letters-store.ts";

/** Dead letters for whoever operates the gateway: to read, to hand in again, to throw away. */
export interface DeadLetters {
  count(): Promise<number>;
  /** The oldest first. */
  list(query?: { after?: string | undefined; limit?: number | undefined }): Promise<StoredDeadLetter[]>;
  /** Hands the named ones in again and takes them out; those that are not there are told. */
  replay(ids: readonly string[]): Promise<DeadLetterOutcome>;
  /** The same with all there are now. */
  replayAll(): Promise<DeadLetterOutcome>;
  remove(ids: readonly string[]): Promise<DeadLetterOutcome>;
}

export interface DeadLetterOutcome {
  done: string[];
  missing: string[];
}

const pageSize = 100;

export function createDeadLetters(store: Omit<DeadLetterStore, "add">): DeadLetters {
  /** Sent before it is taken out: a crash in between hands it in twice rather than never. */
  async function replayOne(id: string): Promise<boolean> {
    const letter = await store.find(id);
    if (letter === undefined) return false;
    await store.resend(letter.command);
    return store.remove(id);
  }

  async function each(ids: readonly string[], act: (id: string) => Promise<boolean>): Promise<DeadLetterOutcome> {
    const outcome: DeadLetterOutcome = { done: [], missing: [] };
    for (const id of ids) ((await act(id)) ? outcome.done : outcome.missing).push(id);
    return outcome;
  }

  /** Letters that come back while this runs are left for the next time. */
  async function allIds(): Promise<string[]> {
    const ids: string[] = [];
    for (;;) {
      const page = await store.list({ after: ids.at(-1), limit: pageSize });
      ids.push(...page.map(({ id }) => id));
      if (page.length < pageSize) return ids;
    }
  }

  return {
    count: () => store.count(),
    list: ({ after, limit = pageSize } = {}) => store.list({ after, limit }),
    replay: (ids) => each(ids, replayOne),
    replayAll: async () => each(await allIds(), replayOne),
    remove: (ids) => each(ids, (id) => store.remove(id)),
  };
}
