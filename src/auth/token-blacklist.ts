import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import { failClosed, orRefusal } from "../redis/refusals.ts";
import { tokenDefaults } from "./token-options.ts";

/**
 * Revoked tokens in Redis, by `jti`. An entry lives as long as its token would have: after that the token is refused
 * because it has expired. Both are measured on the clock of the nodes, which is synchronized with Redis.
 */
export interface TokenBlacklist {
  /** False if the token has expired already. */
  revoke(tokenId: string, expiresAt: number): Promise<boolean>;
  /** The calls of one tick are one command. */
  isRevoked(tokenId: string): Promise<boolean>;
}

export interface TokenBlacklistOptions {
  /** Max life of a token; no entry lives longer. @default 86400 */
  maxLifeSeconds?: number | undefined;
}

const isOne = (reply: unknown): boolean => reply === 1;

/** Tolerance for an issuer whose clock is ahead. */
const slackMs = 60_000;

export function createTokenBlacklist(
  { commands, keys, clock }: { commands: RedisClient; keys: Keys; clock: Clock },
  { maxLifeSeconds = tokenDefaults.maxLifeSeconds }: TokenBlacklistOptions = {},
): TokenBlacklist {
  const isRevokedScript = loadBatchedScript(commands, new URL("./is-revoked.lua", import.meta.url));

  return {
    async revoke(tokenId, expiresAt) {
      const remainingMs = Math.min(Math.ceil(expiresAt - clock.now()), maxLifeSeconds * 1_000 + slackMs);
      if (remainingMs <= 0) return false;
      await orRefusal(commands.set(keys.revokedToken(tokenId), "1", "PX", remainingMs));
      return true;
    },

    isRevoked: (tokenId) => isRevokedScript.run([keys.revokedToken(tokenId)], []).then(isOne, failClosed),
  };
}
