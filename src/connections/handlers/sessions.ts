import type { Identity } from "../../auth/identity.ts";
import type { Logout, Logouts } from "../../auth/logout.ts";
import type { ConnectionsOf } from "../../auth/revocations.ts";
import { isSessionOf } from "../../auth/session-id.ts";
import type { Session } from "../../auth/session-store.ts";
import type { Sessions } from "../../auth/sessions.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { sessionsListMessage, sessionsRevokeMessage, type SessionsListAnswer } from "../../protocol/sessions.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface SessionHandlerDeps {
  sessions: Pick<Sessions, "list">;
  logouts: Pick<Logouts, "session" | "otherSessions">;
  connectionsOf: ConnectionsOf;
}

/** Client events `sessions:list` and `sessions:revoke`: a user lists and revokes its own sessions. */
export function createSessionHandlers({ sessions, logouts, connectionsOf }: SessionHandlerDeps): ClientHandler[] {
  async function list(identity: Identity): Promise<SessionsListAnswer> {
    const own = await sessions.list(identity.userId);
    const connections = await connectionsOf(own.map((session) => session.sessionId));
    return { sessions: own.map((session) => toEntry(session, identity, connections)) };
  }

  async function revoke(identity: Identity, sessionId: string | undefined): Promise<Logout> {
    if (sessionId === undefined) return logouts.otherSessions(identity);
    // The same answer for an unknown session and for another user's, so that neither can be probed.
    if (!isSessionOf(identity.userId, sessionId))
      throw new GatewayError("forbidden", undefined, { field: "sessionId" });
    return logouts.session(sessionId);
  }

  return [
    clientHandler("sessions:list", sessionsListMessage, ({ identity }) => list(identity)),
    clientHandler("sessions:revoke", sessionsRevokeMessage, async (connection, { sessionId }) => {
      const { revoked, disconnected } = await connection.answerFirst(() => revoke(connection.identity, sessionId));
      return { revoked, disconnected };
    }),
  ];
}

/** Omits the session's `data`, which belongs to the backend. */
function toEntry(
  { sessionId, createdAt, lastSeenAt, userAgent }: Session,
  identity: Identity,
  connections: ReadonlyMap<string, number>,
): SessionsListAnswer["sessions"][number] {
  return {
    sessionId,
    createdAt,
    lastSeenAt,
    current: sessionId === identity.sessionId,
    ...(userAgent !== undefined && { userAgent }),
    connections: connections.get(sessionId) ?? 0,
  };
}
