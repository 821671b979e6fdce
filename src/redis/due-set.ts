import type { RedisClient } from "./connections.ts";
import { loadScript } from "./scripts.ts";

/**
 * What must be done by a certain time, in a sorted set on Redis' own clock. A member stays until it is dropped: claimed, it
 * belongs to the node that claimed it for `leaseMs` and is due again after that, should the node have died.
 */
export interface DueSet {
  /** `which`: `new` leaves members alone that are planned already, `known` those that are not. @default "all" */
  plan(members: readonly string[], delayMs: number, which?: "all" | "new" | "known"): Promise<void>;
  claim(most: number): Promise<{ due: string[]; nextInMs: number | undefined }>;
  drop(members: readonly string[]): Promise<void>;
}

export interface DueSetOptions {
  /** Of the sorted set. */
  key: string;
  /** Milliseconds that a claimed member belongs to who claimed it. */
  leaseMs: number;
}

export function createDueSet(commands: RedisClient, { key, leaseMs }: DueSetOptions): DueSet {
  const planScript = loadScript(commands, new URL("./plan-due.lua", import.meta.url));
  const claimScript = loadScript(commands, new URL("./claim-due.lua", import.meta.url));

  return {
    async plan(members, delayMs, which = "all") {
      if (members.length > 0) await planScript.run([key], [which, Math.ceil(delayMs), ...members]);
    },
    async claim(most) {
      const [due, nextInMs] = (await claimScript.run([key], [most, leaseMs])) as [string[], number?];
      return { due, nextInMs };
    },
    async drop(members) {
      if (members.length > 0) await commands.zrem(key, ...members);
    },
  };
}
