import type { RedisClient } from "../redis/connections.ts";
import {
  createDeadLetterAdder,
  createDeadLetterStore,
  resentSeconds,
  type DeadLetter,
  type DeadLetterStore,
} from "../redis/queues/dead-letters.ts";
import type { Keys } from "../redis/keys.ts";
import { createCommandAdder } from "./command-adder.ts";

/** The stream `<prefix>:commands:dead`: commands that could not be performed, with the text as received. */
export interface DeadCommandStore extends DeadLetterStore {
  add(letter: DeadLetter): Promise<void>;
}

/** Max characters of a command that are stored; a longer text was never a valid command. */
const maxCommandLength = 1_048_576;

export function createDeadCommandStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { maxDeadLetters }: { maxDeadLetters?: number } = {},
): DeadCommandStore {
  const stream = keys.deadCommands();
  const add = createDeadLetterAdder(commands, { stream, keys: keys.deadCommandKeys(), max: maxDeadLetters });
  const adder = createCommandAdder({ commands, keys });
  const sentOnce = (id: string): string => `dead:${id}`;
  const store = createDeadLetterStore({
    commands,
    stream,
    parse: (fields) => {
      const text = (name: string): string => fields.get(name) ?? "";
      const [key, command, code, reason] = [text("key"), text("command"), text("code"), text("reason")];
      return { key, command, code, reason, tries: Number(text("tries")) };
    },
    async resend({ id, command }) {
      await adder.add(command, { key: sentOnce(id), forMs: resentSeconds * 1_000 });
    },
    sentKey: (id) => keys.addedCommand(sentOnce(id)),
  });
  return { ...store, add: (letter) => add({ ...letter, command: letter.command.slice(0, maxCommandLength) }) };
}
