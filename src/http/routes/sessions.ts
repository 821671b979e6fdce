import type { Logouts } from "../../auth/logout.ts";
import type { ConnectionsOf } from "../../auth/revocations.ts";
import type { Session } from "../../auth/session-store.ts";
import type { Sessions } from "../../auth/sessions.ts";
import type { TicketStore } from "../../auth/ticket-store.ts";
import type { Tokens } from "../../auth/tokens.ts";
import { GatewayError } from "../../protocol/errors.ts";
import {
  createSessionBody,
  issueTokenBody,
  revocationAnswer,
  sessionCreated,
  sessionParams,
  tokenIssued,
  userParams,
  userSessionsAnswer,
  type SessionAnswer,
} from "../../protocol/sessions.ts";
import { ticketIssued } from "../../protocol/streams.ts";
import { route, type Route } from "../route.ts";

export interface SessionRouteDeps {
  sessions: Pick<Sessions, "create" | "get" | "list">;
  tokens: Pick<Tokens, "issue">;
  tickets: Pick<TicketStore, "create">;
  logouts: Pick<Logouts, "session" | "allSessions" | "closeSessions">;
  connectionsOf: ConnectionsOf;
  /** Throws `rate_limited`. Omit for no limit. */
  limitSession?: ((userId: string, address: string | undefined) => Promise<void>) | undefined;
}

/** Logins as backends make, read and end them. */
export function createSessionRoutes(deps: SessionRouteDeps): Route[] {
  return [
    createSession(deps),
    issueToken(deps),
    issueTicket(deps),
    listSessions(deps),
    endSession(deps),
    endUserSessions(deps),
  ];
}

/**
 * Where the gateway verifies with a public key or a JWKS it cannot sign: `token` is null, the backend signs one itself
 * with the session's id in `sid`, and `expiresAt` is the session's end.
 */
function createSession({ sessions, tokens, logouts, limitSession }: SessionRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/sessions",
    operationId: "createSession",
    tag: "Sessions",
    summary: "Create a session for a user and return its first token.",
    status: 201,
    body: createSessionBody,
    answer: sessionCreated,
  } as const;

  return route(definition, async ({ body: { address, ...login } }) => {
    await limitSession?.(login.userId, address);
    const { session, evicted } = await sessions.create(login);
    if (evicted.length > 0) await logouts.closeSessions(session.userId, evicted);
    return { body: { sessionId: session.sessionId, ...tokenOf(tokens, session) } };
  });
}

function issueToken({ sessions, tokens }: SessionRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/sessions/{sessionId}/token",
    operationId: "issueToken",
    tag: "Sessions",
    summary: "Issue a fresh token for a live session.",
    status: 201,
    refusals: ["not_found"],
    params: sessionParams,
    body: issueTokenBody,
    answer: tokenIssued,
  } as const;

  return route(definition, async ({ params }) => {
    const session = await sessions.get(params.sessionId);
    if (session === undefined) throw new GatewayError("not_found", "The session does not exist or has ended.");
    return { body: tokenOf(tokens, session) };
  });
}

function issueTicket({ sessions, tickets }: SessionRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/sessions/{sessionId}/ticket",
    operationId: "issueTicket",
    tag: "Sessions",
    summary: "Issue a one-time ticket that opens a stream from a browser's EventSource.",
    description: 'The ticket opens one stream within 30 seconds: `new EventSource("/v1/stream?channel=…&ticket=…")`.',
    status: 201,
    refusals: ["not_found"],
    params: sessionParams,
    body: issueTokenBody,
    answer: ticketIssued,
  } as const;

  return route(definition, async ({ params }) => {
    const session = await sessions.get(params.sessionId);
    if (session === undefined) throw new GatewayError("not_found", "The session does not exist or has ended.");
    return { body: await tickets.create(session) };
  });
}

/** The end of a sliding session is not known yet; its tokens are refused once it has ended. */
const latestTokenEnd = ({ expiresAt, idleSeconds }: Session): number =>
  idleSeconds === undefined ? expiresAt : Infinity;

function tokenOf(tokens: Pick<Tokens, "issue">, session: Session): { token: string | null; expiresAt: number } {
  const issued = tokens.issue({ ...session, sessionExpiresAt: latestTokenEnd(session) });
  return issued === undefined
    ? { token: null, expiresAt: session.expiresAt }
    : { token: issued.token, expiresAt: issued.expiresAt };
}

function listSessions({ sessions, connectionsOf }: SessionRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/users/{userId}/sessions",
    operationId: "listUserSessions",
    tag: "Sessions",
    summary: "List a user's live sessions, oldest first.",
    params: userParams,
    answer: userSessionsAnswer,
  } as const;

  return route(definition, async ({ params }) => {
    const listed = await sessions.list(params.userId);
    const connections = await connectionsOf(listed.map((session) => session.sessionId));
    return { body: { sessions: listed.map((session) => toEntry(session, connections)) } };
  });
}

/** Omits the revision. */
export function toEntry(
  { revision: _order, roles, channels, granted, ...session }: Session,
  connections: ReadonlyMap<string, number>,
): SessionAnswer {
  return {
    ...session,
    ...(granted !== undefined && { granted: [...granted] }),
    roles: [...roles],
    channels: { subscribe: [...channels.subscribe], publish: [...channels.publish] },
    connections: connections.get(session.sessionId) ?? 0,
  };
}

function endSession({ logouts }: SessionRouteDeps): Route {
  const definition = {
    method: "delete",
    path: "/v1/sessions/{sessionId}",
    operationId: "endSession",
    tag: "Sessions",
    summary: "End a session and close its connections on every node.",
    params: sessionParams,
    answer: revocationAnswer,
  } as const;

  return route(definition, async ({ params }) => ({ body: await logouts.session(params.sessionId) }));
}

function endUserSessions({ logouts }: SessionRouteDeps): Route {
  const definition = {
    method: "delete",
    path: "/v1/users/{userId}/sessions",
    operationId: "endUserSessions",
    tag: "Sessions",
    summary: "Log a user out everywhere.",
    params: userParams,
    answer: revocationAnswer,
  } as const;

  return route(definition, async ({ params }) => ({ body: await logouts.allSessions(params.userId) }));
}
