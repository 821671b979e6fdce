import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Commands that bridges leave in the commands stream. Every node hears a message and leaves its command; the script takes
 * the first and remembers its name, so that a crash leaves all of it or nothing.
 */
export interface BridgeStore {
  /** False where a command of this name was left before. */
  leave(command: string, name: { key: string; forMs: number }): Promise<boolean>;
}

export function createBridgeStore({ commands, keys }: { commands: RedisClient; keys: Keys }): BridgeStore {
  const script = loadScript(commands, new URL("./leave-command.lua", import.meta.url));
  return {
    leave: async (command, { key, forMs }) =>
      (await script.run([keys.commands(), keys.bridgedCommand(key)], [command, Math.ceil(forMs)])) === 1,
  };
}
