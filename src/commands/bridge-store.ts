import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Commands that bridges add to the commands stream. Every node receives a message and adds its command; the script accepts
 * the first and stores its name atomically.
 */
export interface BridgeStore {
  /** False if a command with this name was added before. */
  add(command: string, name: { key: string; forMs: number }): Promise<boolean>;
}

export function createBridgeStore({ commands, keys }: { commands: RedisClient; keys: Keys }): BridgeStore {
  const script = loadScript(commands, new URL("./add-bridged-command.lua", import.meta.url));
  return {
    add: async (command, { key, forMs }) =>
      (await script.run([keys.commands(), keys.bridgedCommand(key)], [command, Math.ceil(forMs)])) === 1,
  };
}
