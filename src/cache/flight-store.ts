import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Who loads what, over all nodes: one at a time for a key, until it says that it has done so, or `lifeMs` has passed.
 * Not the leases of `locks/`: those keep a number for each name for ever, and there are as many keys as strangers ask for.
 */
export interface FlightStore {
  /** False where another loads it. */
  begin(key: string): Promise<boolean>;
  end(key: string): Promise<void>;
}

/** Milliseconds after which who loads is thought to have died. */
const lifeMs = 5_000;

export function createFlightStore({ commands, keys }: { commands: RedisClient; keys: Keys }): FlightStore {
  const endScript = loadScript(commands, new URL("./end-flight.lua", import.meta.url));
  const who = randomUUID();

  return {
    begin: async (key) => (await commands.set(keys.cacheFlight(key), who, "PX", lifeMs, "NX")) === "OK",
    async end(key) {
      await endScript.run([keys.cacheFlight(key)], [who]);
    },
  };
}
