import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Adds commands to the commands stream once per name, whoever adds them: every node receives the message of a bridge, and
 * several operators may replay one dead letter. The script stores the name and the command atomically.
 */
export interface CommandAdder {
  /** False if a command with this name was added before. */
  add(command: string, name: { key: string; forMs: number }): Promise<boolean>;
}

export function createCommandAdder({ commands, keys }: { commands: RedisClient; keys: Keys }): CommandAdder {
  const script = loadScript(commands, new URL("./add-command-once.lua", import.meta.url));
  return {
    add: async (command, { key, forMs }) =>
      (await script.run([keys.commands(), keys.addedCommand(key)], [command, Math.ceil(forMs)])) === 1,
  };
}
