import type { RedisClient } from "../connections.ts";
import { pairsOf } from "../pairs.ts";
import { loadScript } from "../scripts.ts";

/** Something that was given up: a command, or a webhook. */
export interface DeadLetter {
  /** Unique; a dead letter with a known key is not added again. */
  key: string;
  /** What `resend` needs to try again. */
  command: string;
  code: string;
  reason: string;
  /** Number of attempts. */
  tries: number;
}

export interface StoredDeadLetter extends DeadLetter {
  id: string;
  /** Epoch milliseconds of Redis time. */
  at: number;
}

/**
 * A stream of dead letters. It keeps the last `maxDeadLetters`, so that a faulty backend cannot fill Redis; a dead letter
 * stays until it is replayed, removed, or pushed out by that many newer ones.
 */
export interface DeadLetterStore {
  /** The oldest first, after the id `after`. */
  list(query: { after?: string | undefined; limit: number }): Promise<StoredDeadLetter[]>;
  find(id: string): Promise<StoredDeadLetter | undefined>;
  remove(id: string): Promise<boolean>;
  count(): Promise<number>;
  /** Tries again what a dead letter is about; not again within `resentSeconds`, nor if it was withdrawn. */
  resend(letter: ResentLetter): Promise<void>;
  /** Prevents a dead letter from being sent from now on; false if it has been. */
  withdraw(id: string): Promise<boolean>;
  isWithdrawn(id: string): Promise<boolean>;
}

type ResentLetter = Pick<StoredDeadLetter, "id" | "command">;

export interface DeadLetterStoreDeps {
  commands: RedisClient;
  /** Key of the stream. */
  stream: string;
  /** Parses the fields of an entry. */
  parse: (fields: ReadonlyMap<string, string>) => DeadLetter;
  resend: DeadLetterStore["resend"];
  /** Key of the string that `resend` sets, only if it is absent, in the step that sends. */
  sentKey: (id: string) => string;
}

export const maxDeadLetters = 100_000;
/** Seconds within which a repeated key is detected. */
const keyTtlSeconds = 86_400;
/** Seconds within which a dead letter is sent once, however often it is replayed. */
export const resentSeconds = 86_400;

/** Value of `sentKey` for a dead letter that is not to be sent. */
const withdrawn = "withdrawn";

export function createDeadLetterStore(deps: DeadLetterStoreDeps): DeadLetterStore {
  const { commands, stream, parse, resend, sentKey } = deps;
  const toStored = ([id, flat]: [id: string, fields: string[]]): StoredDeadLetter => ({
    id,
    ...parse(new Map(pairsOf(flat))),
    at: Number(id.split("-")[0]),
  });
  const range = async (from: string, to: string, limit: number): Promise<StoredDeadLetter[]> =>
    (await commands.xrange(stream, from, to, "COUNT", limit)).map(toStored);

  return {
    list: ({ after, limit }) => range(after === undefined ? "-" : `(${after}`, "+", limit),
    find: async (id) => (await range(id, id, 1))[0],
    remove: async (id) => (await commands.xdel(stream, id)) === 1,
    count: () => commands.xlen(stream),
    resend,
    async withdraw(id) {
      const before = await commands.set(sentKey(id), withdrawn, "EX", resentSeconds, "NX", "GET");
      return before === null || before === withdrawn;
    },
    isWithdrawn: async (id) => (await commands.get(sentKey(id))) === withdrawn,
  };
}

/** Adds dead letters, each key once; `keys` is a sorted set in the slot of the stream. */
export function createDeadLetterAdder(
  commands: RedisClient,
  { stream, keys, max = maxDeadLetters }: { stream: string; keys: string; max?: number | undefined },
): (letter: DeadLetter) => Promise<void> {
  const script = loadScript(commands, new URL("./add-dead-letter.lua", import.meta.url));
  return async ({ key, command, code, reason, tries }) => {
    const fields = Object.entries({ command, code, reason, tries, key }).flat();
    await script.run([stream, keys], [key, max, keyTtlSeconds, ...fields]);
  };
}

/** Dead letters as operators list, replay and remove them. */
export interface DeadLetters {
  count(): Promise<number>;
  /** The oldest first. */
  list(query?: { after?: string | undefined; limit?: number | undefined }): Promise<StoredDeadLetter[]>;
  /** Resends and removes the given dead letters; reports those that do not exist or that somebody else removes. */
  replay(ids: readonly string[]): Promise<DeadLetterOutcome>;
  /** Replays all that exist now. */
  replayAll(): Promise<DeadLetterOutcome>;
  /** Reports those that do not exist or that somebody else replays. */
  remove(ids: readonly string[]): Promise<DeadLetterOutcome>;
}

export interface DeadLetterOutcome {
  done: string[];
  missing: string[];
}

const pageSize = 100;

export function createDeadLetters(store: DeadLetterStore): DeadLetters {
  /**
   * Of several who replay a dead letter at the same time one removes it, and for the others it is missing. It is resent
   * before that, so a crash in between does not lose it; the next replay only removes it then.
   */
  async function replayOne(id: string): Promise<boolean> {
    const letter = await store.find(id);
    if (letter === undefined) return false;
    await store.resend(letter);
    return !(await store.isWithdrawn(id)) && store.remove(id);
  }

  /**
   * Of a replay and a removal at the same moment one succeeds, and for the other the dead letter is missing. One that was
   * resent by a replay that was cut off is removed by the next replay.
   */
  async function removeOne(id: string): Promise<boolean> {
    if ((await store.find(id)) === undefined) return false;
    return (await store.withdraw(id)) && store.remove(id);
  }

  async function each(ids: readonly string[], act: (id: string) => Promise<boolean>): Promise<DeadLetterOutcome> {
    const outcome: DeadLetterOutcome = { done: [], missing: [] };
    for (const id of ids) ((await act(id)) ? outcome.done : outcome.missing).push(id);
    return outcome;
  }

  /** Read first, so that dead letters which are added during a replay wait for the next one. */
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
    remove: (ids) => each(ids, removeOne),
  };
}
