import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import { orUnavailable } from "./unavailable.ts";

/**
 * Tokens that are no longer good, by `jti`, in Redis. An entry lives as long as its token would have: after that the
 * token is refused because it has expired. Both ends go by the clock of nodes, which is the store's.
 */
export interface TokenBlacklist {
  /** False where the token has ended by itself, so that there is nothing to write. */
  revoke(tokenId: string, expiresAt: number): Promise<boolean>;
  /** Many asked in one turn of the event loop are one command. */
  isRevoked(tokenId: string): Promise<boolean>;
}

export interface TokenBlacklistOptions {
  /** Longest life a token may claim, so that no entry outlives every token. @default 86400 */
  maxLifeSeconds?: number | undefined;
}

/** A token's issuer may be this far ahead of us, and its token end so much later. */
const slackMs = 60_000;

export function createTokenBlacklist(
  { commands, keys, clock }: { commands: RedisClient; keys: Keys; clock: Clock },
  { maxLifeSeconds = 86_400 }: TokenBlacklistOptions = {},
): TokenBlacklist {
  const isRevokedScript = loadBatchedScript(commands, new URL("./is-revoked.lua", import.meta.url));

  return {
    async revoke(tokenId, expiresAt) {
      const remainingMs = Math.min(Math.ceil(expiresAt - clock.now()), maxLifeSeconds * 1_000 + slackMs);
      if (remainingMs <= 0) return false;
      await orUnavailable(commands.set(keys.revokedToken(tokenId), "1", "PX", remainingMs));
      return true;
    },

    async isRevoked(tokenId) {
      return (await orUnavailable(isRevokedScript.run([keys.revokedToken(tokenId)], []))) === 1;
    },
  };
}
