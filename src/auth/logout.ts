import { GatewayError } from "../protocol/errors.ts";
import { tokenDefaults } from "./token-options.ts";
import { systemClock, type Clock } from "../runtime/clock.ts";
import type { Identity } from "./identity.ts";
import type { Disconnection, Revocations } from "./revocations.ts";
import type { Sessions } from "./sessions.ts";
import type { TokenBlacklist } from "./token-blacklist.ts";
import type { Tokens } from "./tokens.ts";

/** The result of a revocation, including live connections. */
export interface Logout extends Disconnection {
  /** Sessions or tokens that were valid until now. */
  revoked: number;
}

/**
 * Ends sessions and revokes tokens, for all entry points: first in Redis, so that handshakes are refused, then on live
 * connections. The second step runs even if the first found nothing, so a retry after a failure completes the work.
 */
export interface Logouts {
  session(sessionId: string): Promise<Logout>;
  allSessions(userId: string): Promise<Logout>;
  /** All sessions of the user except the caller's. */
  otherSessions(identity: Identity): Promise<Logout>;
  /** Throws `bad_request` if the text is not a valid token; an expired one is accepted. */
  token(token: string): Promise<Logout>;
  tokenId(tokenId: string, expiresAt: number): Promise<Logout>;
  /** Tokens of the user issued before `issuedBefore` (epoch ms). */
  tokensBefore(userId: string, issuedBefore: number): Promise<Logout>;
  /** Closes the connections of sessions that have ended already. */
  closeSessions(userId: string, sessionIds: readonly string[]): Promise<Disconnection>;
}

export interface LogoutsDeps {
  sessions: Pick<Sessions, "idOf" | "end" | "endAll" | "revokeTokensBefore">;
  tokens: Pick<Tokens, "read">;
  blacklist: Pick<TokenBlacklist, "revoke">;
  revocations: Revocations;
  /** Max life of a token. */
  maxLifeSeconds?: number | undefined;
  /** True if tokens of an identity provider begin sessions: those of ended sessions must be revoked too. @default false */
  adopt?: boolean | undefined;
  clock?: Clock | undefined;
}

/** Tolerance for an issuer whose clock is ahead. */
const slackMs = 60_000;

export function createLogouts(deps: LogoutsDeps): Logouts {
  const { sessions, tokens, blacklist, revocations } = deps;
  const { maxLifeSeconds = tokenDefaults.maxLifeSeconds, adopt = tokenDefaults.adopt, clock = systemClock } = deps;

  async function tokenId(id: string, expiresAt: number): Promise<Logout> {
    const revoked = (await blacklist.revoke(id, expiresAt)) ? 1 : 0;
    return { revoked, ...(await revocations.revokeToken(id)) };
  }

  async function closeSessions(userId: string, sessionIds: readonly string[]): Promise<Disconnection> {
    return sum(await Promise.all(sessionIds.map((id) => revocations.revokeSession(id, userId))));
  }

  return {
    tokenId,
    closeSessions,

    async session(given) {
      const sessionId = (await sessions.idOf(given)) ?? given;
      const userId = await sessions.end(sessionId);
      return { revoked: userId === undefined ? 0 : 1, ...(await revocations.revokeSession(sessionId, userId)) };
    },

    async allSessions(userId) {
      const ended = await sessions.endAll(userId);
      if (adopt) await sessions.revokeTokensBefore(userId, clock.now(), maxLifeSeconds * 1_000 + slackMs);
      return { revoked: ended.length, ...(await revocations.revokeUserSessions(userId)) };
    },

    async otherSessions({ userId, sessionId }) {
      const ended = await sessions.endAll(userId, sessionId);
      return { revoked: ended.length, ...(await closeSessions(userId, ended)) };
    },

    async tokensBefore(userId, issuedBefore) {
      await sessions.revokeTokensBefore(userId, issuedBefore, maxLifeSeconds * 1_000 + slackMs);
      return { revoked: 1, ...(await revocations.revokeTokensBefore(userId, issuedBefore)) };
    },

    async token(token) {
      const claims = await tokens.read(token).catch((error: unknown) => {
        if (!(error instanceof GatewayError) || error.code !== "unauthorized") throw error;
        throw new GatewayError("bad_request", "token: is not valid for this gateway", { field: "token" });
      });
      return tokenId(claims.tokenId, claims.expiresAt);
    },
  };
}

/** `acknowledged` equals `nodes` only if it did in every part. */
function sum(parts: readonly Disconnection[]): Disconnection {
  const total = { disconnected: 0, nodes: 0, acknowledged: 0 };
  for (const { disconnected, nodes, acknowledged } of parts) {
    total.disconnected += disconnected;
    total.nodes += nodes;
    total.acknowledged += acknowledged;
  }
  return total;
}
