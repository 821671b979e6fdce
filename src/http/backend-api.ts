import type { Express, Request, RequestHandler, Response } from "express";
import { z } from "zod";
import { GatewayError } from "../protocol/errors.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Spans } from "../runtime/spans.ts";
import type { Authenticate } from "./api-keys.ts";
import { entityTagOf, isKnownToClient } from "./entity-tag.ts";
import { idempotencyKeyOf, keyBody } from "./idempotency-key.ts";
import { refuseAllBut } from "./only-methods.ts";
import { sendJson, sendJsonText, sendNotModified } from "./problem.ts";
import { queryOf } from "./query.ts";
import { applyLimit, type LimitHttp } from "./rate-limit.ts";
import { readJson } from "./request-body.ts";
import { targetOf } from "./request-target.ts";
import { recordOf } from "./request-watch.ts";
import type { AuthenticateOperator, RequestRecord, Route, RouteAnswer, RouteRequest } from "./route.ts";

export interface BackendApiDeps {
  routes: readonly Route[];
  authenticate: Authenticate;
  /** Omit if there are no operators. */
  authenticateOperator?: AuthenticateOperator | undefined;
  /** Omit for no limit. */
  limit?: LimitHttp | undefined;
  clientAddress: ClientAddress;
  /** Called after each call that acts on users, such as a revocation. */
  onAct?: ((act: BackendAct) => void) | undefined;
  /** Omit for no spans. */
  spans?: Spans | undefined;
  log: Logger;
}

/** A call that acted on users: who did what to whom, with which outcome. */
export interface BackendAct {
  /** Operation id of the route. */
  operation: string;
  /** Name of the API key, or of the operator. */
  caller: string;
  via: "api" | "operator";
  address: string;
  requestId: string;
  /** Parameters of the path, such as `userId`. */
  target: Readonly<Record<string, unknown>>;
  /** Counts of the answer, such as `disconnected`. */
  outcome: Readonly<Record<string, number>>;
  /** A call of a backend that is as frequent as messages; in the audit log it would displace what operators did. */
  isTraffic: boolean;
}

type Access = NonNullable<Route["access"]>;
type Input = RouteRequest<unknown, unknown, unknown>;

/** Everything below this prefix requires an API key. */
export const apiPrefix = "/v1/";

/** Mounts the backend API. Errors go to Express' error handler. */
export function mountApi(app: Express, deps: BackendApiDeps): void {
  for (const [path, routes] of Map.groupBy(deps.routes, (route) => route.path)) {
    const admitRoutes = admitWith(deps, (method) => accessOf(routes, method));
    const endpoint = app.route(patternOf(path)).all(labelled(path), ...routes.flatMap(servedBy), admitRoutes);
    for (const route of routes) if (route.serve === undefined) endpoint[route.method](handlerOf(route, deps));
    endpoint.all(refuseAllBut(...routes.flatMap(methodsOf)));
  }
  // An unknown path is not found only for holders of a key, or of an operator's secret.
  const admit = admitWith(deps, () => "api key");
  const admitOperators = admitWith(deps, () => "operator");
  app.use((request, response, next) => {
    if (!request.path.startsWith(apiPrefix)) return next();
    const admitUnknown = request.path.startsWith(`${apiPrefix}operator/`) ? admitOperators : admit;
    return admitUnknown(request, response, next);
  });
}

/**
 * Paths are matched as they were sent: case, dots and trailing slashes count. An empty parameter matches too, so that it
 * is refused by its name.
 */
const patternOf = (path: string): RegExp => new RegExp(`^${path.replaceAll(/\{(\w+)\}/g, "(?<$1>[^/]*)")}$`);

/** Routes that answer by themselves come before the check of the API key. */
const servedBy = ({ serve }: Route): RequestHandler[] =>
  serve === undefined
    ? []
    : [
        (request, response, next) => {
          if (request.method !== "GET" && request.method !== "OPTIONS") return next();
          const params = (): Record<string, string> => ({ ...(request.params as Record<string, string>) });
          const target = targetOf(request.originalUrl);
          return serve({ request, response, target, record: recordOf(response), params });
        },
      ];

const methodsOf = ({ method, serve }: Route): string[] =>
  method === "get" && serve === undefined ? ["GET", "HEAD"] : [method.toUpperCase()];

const labelled =
  (template: string): RequestHandler =>
  (_request, response, next) => {
    recordOf(response).route = template;
    next();
  };

/** Of a method that the path does not have: that of the others. */
function accessOf(routes: readonly Route[], method: string): Access {
  return (routes.find((route) => methodsOf(route).includes(method)) ?? routes[0])?.access ?? "api key";
}

function admitWith(deps: BackendApiDeps, accessFor: (method: string) => Access): RequestHandler {
  const { authenticate, limit } = deps;
  return async (request, response, next) => {
    const access = accessFor(request.method);
    if (access === "open") return next();
    const isOperator = access !== "api key" && deps.authenticateOperator !== undefined;
    const caller = isOperator ? await admitOperator(deps, request, response, access) : authenticate(request);
    recordOf(response).caller = caller;
    applyLimit(response, await limit?.(isOperator ? `operator ${caller}` : caller));
    next();
  };
}

/** Returns the operator's name; its role stays in the record. */
async function admitOperator(
  { authenticateOperator, clientAddress }: BackendApiDeps,
  request: Request,
  response: Response,
  access: Access,
): Promise<string> {
  const operator = await authenticateOperator?.(request, clientAddress(request));
  if (operator === undefined) throw new GatewayError("unauthorized");
  if (access === "admin" && operator.role !== "admin") {
    recordOf(response).caller = operator.name;
    throw new GatewayError("forbidden", "This operator may not act.", { reason: { rule: "operator" } });
  }
  recordOf(response).role = operator.role;
  return operator.name;
}

function handlerOf(route: Route, deps: BackendApiDeps): RequestHandler {
  const { spans } = deps;
  const method = route.method.toUpperCase();
  const attributes = { "http.request.method": method, "http.route": route.path };
  return (request, response) => {
    const answer = (): Promise<void> => answerWith(route, deps, request, response);
    const { traceparent } = request.headers;
    const parent = typeof traceparent === "string" ? traceparent : undefined;
    return spans?.run(`${method} ${route.path}`, { kind: "server", parent, attributes }, answer) ?? answer();
  };
}

async function answerWith(route: Route, deps: BackendApiDeps, request: Request, response: Response): Promise<void> {
  const input = await inputOf(request, response, route, deps.clientAddress);
  const answer = await route.handle(input);
  if (route.access === "admin" || (route.method !== "get" && isAct(answer.body)))
    noteAct(deps, recordOf(response), { route, input, answer });
  send(request, response, route, answer);
  deps.spans?.annotate({ "http.response.status_code": response.statusCode });
}

/** Calls that act on live connections answer how many nodes they asked, and how many of them confirmed. */
const isAct = (body: unknown): boolean =>
  typeof body === "object" && body !== null && "acknowledged" in body && "nodes" in body && body.nodes !== 0;

function noteAct(
  { onAct, log }: BackendApiDeps,
  { requestId }: RequestRecord,
  { route, input, answer }: { route: Route; input: Input; answer: RouteAnswer },
): void {
  const outcome = outcomeOf(answer.body as object);
  const acted = answer.acted === undefined ? {} : { acted: answer.acted };
  const via = input.role === undefined ? "api" : "operator";
  const isTraffic = route.isTraffic === true && via === "api";
  const act: Omit<BackendAct, "isTraffic"> = {
    operation: route.operationId,
    caller: input.apiKey,
    via,
    address: input.address,
    requestId,
    target: { ...(input.params as object), ...(route.access === "admin" ? summaryOf(input.body) : {}) },
    outcome,
  };
  const isNotable = via === "operator" || (!isTraffic && hasActed({ ...outcome, ...acted }));
  log[isNotable ? "info" : "debug"](
    { ...act, ...acted },
    via === "api" ? "backend call acted on connections" : "operator acted",
  );
  onAct?.({ ...act, isTraffic });
}

/** The numbers of the answer. */
function outcomeOf(body: object): Record<string, number> {
  const numbers = Object.entries(body).filter(([, value]) => ["number", "boolean"].includes(typeof value));
  return Object.fromEntries(numbers.map(([name, value]) => [name, Number(value)]));
}

/** Whether a connection, a subscription, a session or a token was affected, and not only nodes asked. */
const hasActed = ({ nodes: _nodes, acknowledged: _acknowledged, ...affected }: Record<string, number>): boolean =>
  Object.values(affected).some((count) => count > 0);

/** Lists by their length, because they may be long, and no payloads. */
function summaryOf(body: unknown): Record<string, unknown> {
  const entries = Object.entries(body ?? {}).filter(([name]) => name !== "data");
  return Object.fromEntries(
    entries.map(([name, value]): [string, unknown] => [name, Array.isArray(value) ? value.length : value]),
  );
}

function send(request: Request, response: Response, route: Route, given: RouteAnswer): void {
  const status = given.status ?? route.status ?? 200;
  if (route.isRevalidated !== true) return sendJson(response, status, given.body, given.headers);
  const text = JSON.stringify(given.body);
  const tag = entityTagOf(text);
  // The caller may cache it but must revalidate each time.
  const fields = { ...given.headers, ETag: tag, "Cache-Control": "private, no-cache" };
  if (isKnownToClient(request, tag)) sendNotModified(response, fields);
  else sendJsonText(response, status, text, fields);
}

/** A parameter that a route does not have is named, as a field of a body is. */
const noQuery = z.strictObject({});

async function inputOf(
  request: Request,
  response: Response,
  route: Route,
  clientAddress: ClientAddress,
): Promise<Input> {
  const params = route.params && parseWith(route.params, { ...request.params });
  const query = parseWith(route.query ?? noQuery, queryOf(targetOf(request.originalUrl).search));
  const sent = route.method === "get" ? undefined : parseWith(route.body ?? keyBody, await readJson(request));
  const idempotencyKey = idempotencyKeyOf(request, sent);
  const body = route.body && sent;
  const { caller: apiKey = "", role, requestId } = recordOf(response);
  const isSecure = request.headers["x-forwarded-proto"] === "https";
  const address = clientAddress(request);
  return { params, query, body, apiKey, role, idempotencyKey, door: "http", address, requestId, isSecure };
}

/** Names the parameter that Express could not decode; undefined if there is none. */
export function undecodableParameter(routes: readonly Route[], pathname: string): GatewayError | undefined {
  for (const { path } of routes) {
    const sent = Object.entries(patternOf(path).exec(pathname)?.groups ?? {});
    const found = sent.find(([, value]) => !isDecodable(value));
    if (found !== undefined) return wrong(found[0], "is not well-formed percent-encoded UTF-8");
  }
  return undefined;
}

function isDecodable(text: string): boolean {
  try {
    return decodeURIComponent(text) !== undefined;
  } catch {
    return false;
  }
}
