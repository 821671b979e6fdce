import type { IncomingMessage, ServerResponse } from "node:http";
import { isTokenShaped } from "../auth/token-form.ts";
import { GatewayError } from "../protocol/errors.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import { channelParams } from "../protocol/publications.ts";
import type { Position } from "../protocol/scalars.ts";
import { eventStream, maxEventIdLength, pollAnswer, pollQuery, streamQuery } from "../protocol/streams.ts";
import type { Logger } from "../runtime/logger.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import type { Authenticate } from "./api-keys.ts";
import { headerValues } from "./headers.ts";
import { sendJson, sendProblem, type Fields } from "./problem.ts";
import { queryOf } from "./query.ts";
import { applyLimit, type LimitHttp } from "./rate-limit.ts";
import { discardRest } from "../runtime/discard-rest.ts";
import { wrongMethod } from "./only-methods.ts";
import type { Route, ServedRequest } from "./route.ts";

/** Who opens a stream: a client with its token or a ticket, or a backend, by the name of its API key. */
type Credentials =
  { kind: "token"; token: string } | { kind: "ticket"; ticket: string } | { kind: "backend"; apiKey: string };

interface AuthenticatedRequest {
  request: IncomingMessage;
  response: ServerResponse;
  address: string;
  credentials: Credentials;
}

/** What opens streams; throws a GatewayError if it refuses. */
export interface StreamService {
  stream(
    asked: AuthenticatedRequest & {
      channels: readonly string[];
      lastEventId: string | undefined;
      position: string | undefined;
      headers: Fields;
    },
  ): Promise<void>;
  poll(
    asked: AuthenticatedRequest & {
      channel: string;
      since: Position | undefined;
      revision: number | undefined;
      waitMs: number;
    },
  ): Promise<object>;
}

export interface StreamRouteDeps extends RefusalDeps {
  streams: StreamService;
  origins: {
    isAllowed(fields: IncomingMessage["headers"]): boolean;
    corsFields(fields: IncomingMessage["headers"]): Record<string, string>;
  };
  authenticate: Authenticate;
  limit?: LimitHttp | undefined;
  clientAddress: ClientAddress;
  log: Logger;
}

/** `GET /v1/stream` and `GET /v1/channels/{channel}/poll`, for clients as well as backends. */
export function createStreamRoutes(deps: StreamRouteDeps): Route[] {
  return [openStream(deps), pollChannel(deps)];
}

const credentialsText =
  "Clients send their token as `Authorization: Bearer`, or a ticket in the query; backends send an API key.";

function openStream(deps: StreamRouteDeps): Route {
  return {
    method: "get",
    path: "/v1/stream",
    operationId: "openStream",
    tag: "Streams",
    summary: "Read channels as server-sent events.",
    description: `${credentialsText} Reconnect with \`Last-Event-ID\` to receive exactly what was missed.`,
    refusals: clientRefusals,
    query: streamQuery,
    answer: eventStream,
    answerType: "text/event-stream",
    handle: refuseOtherMethods,
    serve: served(deps, async (asked, { target, record }, headers) => {
      const { channel, ticket: _ticket, lastEventId: position } = parseWith(streamQuery, streamQueryOf(target.search));
      const lastEventId = lastEventIdOf(asked.request);
      record.isStream = true;
      await deps.streams.stream({ ...asked, channels: [...new Set(channel)], lastEventId, position, headers });
    }),
  };
}

function pollChannel(deps: StreamRouteDeps): Route {
  return {
    method: "get",
    path: "/v1/channels/{channel}/poll",
    operationId: "pollChannel",
    tag: "Streams",
    summary: "Wait for the next publications of a channel, or for changes of its state.",
    description: `${credentialsText} Without a position, returns the current one at once.`,
    refusals: [...clientRefusals, "not_found"],
    params: channelParams,
    query: pollQuery,
    answer: pollAnswer,
    handle: refuseOtherMethods,
    serve: served(deps, async (asked, { target, params }, headers) => {
      const { channel } = parseWith(channelParams, params());
      const { epoch, offset, revision, waitMs } = parseWith(pollQuery, queryOf(target.search));
      const since = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
      sendJson(asked.response, 200, await deps.streams.poll({ ...asked, channel, since, revision, waitMs }), headers);
    }),
  };
}

const clientRefusals = [
  "token_expired",
  "token_revoked",
  "session_expired",
  "user_blocked",
  "forbidden",
  "unknown_channel",
  "connection_limit",
  "subscription_limit",
  "draining",
] as const;

const refuseOtherMethods = (): Promise<never> => Promise.reject(wrongMethod(["GET"]));

type Serve = (asked: AuthenticatedRequest, served: ServedRequest, headers: Fields) => Promise<void>;

/** Everything around a stream: origin, preflight, credentials, and the answer if it is refused. */
function served(deps: StreamRouteDeps, serve: Serve): NonNullable<Route["serve"]> {
  return async (exchange) => {
    const { request, response, record } = exchange;
    const headers = { ...deps.origins.corsFields(request.headers), "X-Request-Id": record.requestId };
    try {
      if (!deps.origins.isAllowed(request.headers)) throw new GatewayError("forbidden", "The origin is not allowed.");
      if (request.method === "OPTIONS") return answerPreflight(response, headers);
      if (request.method !== "GET") throw wrongMethod(["GET"]);
      const credentials = await credentialsOf(deps, exchange);
      if (credentials.kind === "backend") record.caller = credentials.apiKey;
      await serve({ request, response, credentials, address: deps.clientAddress(request) }, exchange, headers);
    } catch (error) {
      refuse(deps, exchange, refusalOf(error), headers);
    }
  };
}

function refuse(
  deps: StreamRouteDeps,
  { request, response, record }: ServedRequest,
  error: GatewayError,
  headers: Fields,
): void {
  record.code = error.code;
  const { caller, route: operation, requestId } = record;
  recordRefusal(deps, error, { kind: "http", caller, address: deps.clientAddress(request), operation, requestId });
  if (error.code === "internal") deps.log.error({ err: error.cause, route: record.route }, "HTTP request failed");
  sendProblem(response, error, headers, discardRest(request));
}

function answerPreflight(response: ServerResponse, headers: Fields): void {
  response
    .writeHead(204, {
      ...headers,
      "Access-Control-Allow-Methods": "GET",
      "Access-Control-Allow-Headers": "Authorization, Last-Event-ID, Cache-Control",
      "Access-Control-Max-Age": "600",
    })
    .end();
}

const bearer = /^bearer +(\S+) *$/i;

async function credentialsOf(
  deps: StreamRouteDeps,
  { request, response, target }: ServedRequest,
): Promise<Credentials> {
  const query = new URLSearchParams(target.search);
  if (query.has("token") || query.has("access_token"))
    throw new GatewayError("unauthorized", "A token in the query string is not accepted.");
  const [header, ...others] = headerValues(request, "authorization");
  if (header === undefined) return { kind: "ticket", ticket: ticketOf(query) };
  const token = bearer.exec(header)?.[1];
  if (token === undefined || others.length > 0)
    throw new GatewayError("unauthorized", "Send exactly one Authorization: Bearer <token>.");
  const apiKey = apiKeyOf(deps, request);
  // A wrong API key is refused before the query is read, as everywhere else.
  if (apiKey === undefined && !isTokenShaped(token)) throw new GatewayError("unauthorized");
  if (apiKey === undefined) return { kind: "token", token };
  applyLimit(response, await deps.limit?.(apiKey));
  return { kind: "backend", apiKey };
}

function ticketOf(query: URLSearchParams): string {
  const ticket = query.get("ticket") ?? "";
  if (ticket === "")
    throw new GatewayError("unauthorized", "Send a token or an API key as Authorization: Bearer, or a ticket.");
  if (ticket.length > 128) throw wrong("ticket", "must be at most 128 characters");
  return ticket;
}

/** Undefined if the request carries something else: then it is taken for a token. */
function apiKeyOf({ authenticate }: StreamRouteDeps, request: IncomingMessage): string | undefined {
  try {
    return authenticate(request);
  } catch {
    return undefined;
  }
}

/** Like any query, but with all its channels. */
function streamQueryOf(search: string): object {
  const query = new URLSearchParams(search);
  const channel = query.getAll("channel");
  query.delete("channel");
  return { ...queryOf(query.toString()), channel };
}

function lastEventIdOf(request: IncomingMessage): string | undefined {
  const [id] = headerValues(request, "last-event-id");
  if (id !== undefined && id.length > maxEventIdLength) throw wrong("Last-Event-ID", "is too long");
  return id === "" ? undefined : id;
}
