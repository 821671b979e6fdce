import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/** State of a write with an idempotency key, when it begins. */
export type IdempotencyState =
  /** `run`: the caller is the first, and has claimed the key; `wait`: another call is running. */
  { outcome: "run" | "wait" | "conflict" } | { outcome: "done"; answer: string };

/**
 * Writes and their responses by idempotency key. Of concurrent calls one runs, and all others get its response. The first
 * claims the key for `claimMs` and renews that while it runs; if it dies, the next call runs.
 */
export interface IdempotencyStore {
  begin(scope: string, key: string, fingerprint: string, holder: string): Promise<IdempotencyState>;
  renew(scope: string, key: string, holder: string): Promise<void>;
  /** Stores the response; without one the key is as if it had never been used. */
  end(scope: string, key: string, holder: string, response: StoredResponse | undefined): Promise<void>;
}

interface StoredResponse {
  answer: string;
  /** @default that of the store */
  ttlSeconds?: number | undefined;
}

export function createIdempotencyStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { claimMs, ttlSeconds }: { claimMs: number; ttlSeconds: number },
): IdempotencyStore {
  const beginScript = loadScript(commands, new URL("./begin-write.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("./end-write.lua", import.meta.url));

  return {
    async begin(scope, key, fingerprint, holder) {
      const reply = await beginScript.run([keys.once(scope, key)], [fingerprint, holder, claimMs]);
      const [outcome, answer] = reply as [IdempotencyState["outcome"], string?];
      return outcome === "done" ? { outcome, answer: answer ?? "" } : { outcome };
    },
    async renew(scope, key, holder) {
      await endScript.run([keys.once(scope, key)], [holder, "renew", claimMs, ""]);
    },
    async end(scope, key, holder, response) {
      const act = response === undefined ? "forget" : "answer";
      const ttlMs = (response?.ttlSeconds ?? ttlSeconds) * 1_000;
      await endScript.run([keys.once(scope, key)], [holder, act, ttlMs, response?.answer ?? ""]);
    },
  };
}
