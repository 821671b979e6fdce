import { GatewayError } from "../protocol/errors.ts";
import type { Identity } from "./identity.ts";
import type { Disconnection, Revocations } from "./revocations.ts";
import type { Sessions } from "./sessions.ts";
import type { TokenBlacklist } from "./token-blacklist.ts";
import type { Tokens } from "./tokens.ts";

/** What was revoked in the store, and what became of live sockets. */
export interface Logout extends Disconnection {
  /** Sessions or tokens that were good until now. */
  revoked: number;
}

/**
 * Ends logins and tokens, for every door alike: first in Redis, so that nobody comes in any more, then on live sockets.
 * The second is done even where the first found nothing: a repeat after a failure in between finishes the work.
 */
export interface Logouts {
  session(sessionId: string): Promise<Logout>;
  allSessions(userId: string): Promise<Logout>;
  /** All sessions of the user but the one that asks. */
  otherSessions(identity: Identity): Promise<Logout>;
  /** Throws `bad_request` where the text is no token of ours; an expired one is fine. */
  token(token: string): Promise<Logout>;
  tokenId(tokenId: string, expiresAt: number): Promise<Logout>;
  /** Closes the sockets of sessions that have ended already. */
  closeSessions(userId: string, sessionIds: readonly string[]): Promise<Disconnection>;
}

export interface LogoutsDeps {
  sessions: Pick<Sessions, "end" | "endAll">;
  tokens: Pick<Tokens, "read">;
  blacklist: Pick<TokenBlacklist, "revoke">;
  revocations: Revocations;
}

export function createLogouts({ sessions, tokens, blacklist, revocations }: LogoutsDeps): Logouts {
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

    async session(sessionId) {
      const userId = await sessions.end(sessionId);
      return { revoked: userId === undefined ? 0 : 1, ...(await revocations.revokeSession(sessionId, userId)) };
    },

    async allSessions(userId) {
      const ended = await sessions.endAll(userId);
      return { revoked: ended.length, ...(await revocations.revokeUserSessions(userId)) };
    },

    async otherSessions({ userId, sessionId }) {
      const ended = await sessions.endAll(userId, sessionId);
      return { revoked: ended.length, ...(await closeSessions(userId, ended)) };
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

/** Of the sums, too, `acknowledged` equals `nodes` only where it did in every part. */
function sum(parts: readonly Disconnection[]): Disconnection {
  const total = { disconnected: 0, nodes: 0, acknowledged: 0 };
  for (const { disconnected, nodes, acknowledged } of parts) {
    total.disconnected += disconnected;
    total.nodes += nodes;
    total.acknowledged += acknowledged;
  }
  return total;
}
