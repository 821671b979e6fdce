import type { RedisClient } from "../connections.ts";
import { loadScript } from "../scripts.ts";

/**
 * Members with the time at which they are due, in a sorted set on Redis' clock. A member stays until it is dropped: a claim
 * belongs to its node for `leaseMs`, after which the member is due again in case the node died.
 */
export interface DueSet {
  /** `which`: `new` skips members that are planned already, `known` those that are not. @default "all" */
  plan(members: readonly string[], delayMs: number, which?: "all" | "new" | "known"): Promise<void>;
  claim(max: number): Promise<{ due: string[]; nextInMs: number | undefined }>;
  drop(members: readonly string[]): Promise<void>;
}

export interface DueSetOptions {
  /** Of the sorted set. */
  key: string;
  /** Milliseconds for which a claim is exclusive. */
  leaseMs: number;
}

export function createDueSet(commands: RedisClient, { key, leaseMs }: DueSetOptions): DueSet {
  const planScript = loadScript(commands, new URL("./plan-due.lua", import.meta.url));
  const claimScript = loadScript(commands, new URL("./claim-due.lua", import.meta.url));

  return {
    async plan(members, delayMs, which = "all") {
      if (members.length > 0) await planScript.run([key], [which, Math.ceil(delayMs), ...members]);
    },
    async claim(max) {
      const [due, nextInMs] = (await claimScript.run([key], [max, leaseMs])) as [string[], number?];
      return { due, nextInMs };
    },
    async drop(members) {
      if (members.length > 0) await commands.zrem(key, ...members);
    },
  };
}
