import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import type { ErrorCode } from "../protocol/errors.ts";

/** A command that could not be performed, and why. */
export interface DeadLetter {
  /** Unlike that of any other: a letter handed in again is kept once. */
  key: string;
  /** The command's text as it came. */
  command: string;
  code: ErrorCode;
  reason: string;
  /** How often it was tried. */
  tries: number;
}

export interface StoredDeadLetter extends DeadLetter {
  id: string;
  /** Epoch milliseconds, by Redis' clock. */
  at: number;
}

/**
 * The stream `<prefix>:commands:dead`. It keeps the last `mostLetters`, so that a backend gone wrong cannot fill Redis;
 * a letter stays until it is replayed, removed or pushed out by that many newer ones.
 */
export interface DeadLetterStore {
  add(letter: DeadLetter): Promise<void>;
  /** The oldest first, after the letter `after`. */
  list(query: { after?: string | undefined; limit: number }): Promise<StoredDeadLetter[]>;
  find(id: string): Promise<StoredDeadLetter | undefined>;
  remove(id: string): Promise<boolean>;
  count(): Promise<number>;
  /** Hands a command in again, as a backend would. */
  resend(command: string): Promise<void>;
}

export interface DeadLetterStoreOptions {
  /** @default 100000 */
  mostLetters?: number;
}

/** Seconds within which a letter handed in again is known. */
const rememberedSeconds = 86_400;
/** Characters of a command that are kept: what is longer was never a command. */
const longestCommand = 1_048_576;

export function createDeadLetterStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { mostLetters = 100_000 }: DeadLetterStoreOptions = {},
): DeadLetterStore {
  const addScript = loadScript(commands, new URL("./add-letter.lua", import.meta.url));
  const stream = keys.deadCommands();

  async function range(from: string, limit: number): Promise<StoredDeadLetter[]> {
    return (await commands.xrange(stream, from, "+", "COUNT", limit)).map(toLetter);
  }

  return {
    async add({ key, command, code, reason, tries }) {
      const fields = { command: command.slice(0, longestCommand), code, reason, tries, key };
      await addScript.run(
        [stream, keys.deadCommandKeys()],
        [key, mostLetters, rememberedSeconds, ...Object.entries(fields).flat()],
      );
    },
    list: ({ after, limit }) => range(after === undefined ? "-" : `(${after}`, limit),
    async find(id) {
      return (await commands.xrange(stream, id, id)).map(toLetter)[0];
    },
    remove: async (id) => (await commands.xdel(stream, id)) === 1,
    count: () => commands.xlen(stream),
    async resend(command) {
      await commands.xadd(keys.commands(), "*", "command", command);
    },
  };
}

function toLetter([id, flat]: [id: string, fields: string[]]): StoredDeadLetter {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] as string, flat[i + 1] as string);
  const text = (name: string): string => fields.get(name) ?? "";
  return {
    id,
    key: text("key"),
    command: text("command"),
    code: text("code") as ErrorCode,
    reason: text("reason"),
    tries: Number(text("tries")),
    at: Number(id.split("-")[0]),
  };
}
