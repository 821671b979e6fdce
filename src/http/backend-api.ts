import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { GatewayError } from "../protocol/errors.ts";
import { parseWith } from "../protocol/parse-with.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Authenticate } from "./api-keys.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { entityTagOf, isKnownToClient } from "./entity-tag.ts";
import { idempotencyKeyOf } from "./idempotency-key.ts";
import { sendJson, sendJsonText, sendNotModified, sendProblem, type Fields } from "./problem.ts";
import { queryOf } from "./query.ts";
import { overLimit, rateLimitFields, type LimitHttp } from "./rate-limit.ts";
import { recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import { discardRest } from "../runtime/discard-rest.ts";
import { readJson } from "./request-body.ts";
import type { RequestRecord, WatchRequest } from "./request-watch.ts";
import { targetOf, type RequestTarget } from "./request-target.ts";
import { createRouteTable, paramsOf, routeFor, type Endpoint } from "./route-table.ts";
import type { Route, RouteAnswer, RouteRequest } from "./route.ts";

export interface BackendApiDeps {
  routes: readonly Route[];
  authenticate: Authenticate;
  /** Absent: no limit. */
  limit?: LimitHttp | undefined;
  clientAddress: ClientAddress;
  watch: WatchRequest;
  metrics: Pick<Metrics, "refusals">;
  /** Omit to count refusals only. */
  reasons?: RefusalDeps["reasons"];
  /** Called after each call that acts on users, such as a revocation. */
  onAct?: ((act: BackendAct) => void) | undefined;
  log: Logger;
}

/** A call that acted on users: who did what to whom, with which outcome. */
export interface BackendAct {
  /** Operation id of the route. */
  operation: string;
  /** Name of the API key. */
  caller: string;
  address: string;
  requestId: string;
  /** Parameters of the path, such as `userId`. */
  target: Readonly<Record<string, unknown>>;
  /** Counts of the answer, such as `disconnected`. */
  outcome: Readonly<Record<string, number>>;
}

/** Everything below this prefix is for holders of an API key. */
export const apiPrefix = "/v1/";

/**
 * The backend API. It handles `/v1` itself, before Express: publishing over HTTP is a hot path, and these functions are
 * everything a request passes: key, limit, route, body, handler, response.
 */
export function createBackendApi(deps: BackendApiDeps): RequestListener {
  const find = createRouteTable(deps.routes);
  const withWarnings = { ...deps, warn: createPacedWarnings(deps.log) };

  return (request, response) => {
    const target = targetOf(request.url ?? "");
    const endpoint = find(target.pathname);
    const record = deps.watch(request, response, endpoint?.template);
    const own = endpoint && servedBy(endpoint, request.method ?? "");
    if (own !== undefined) {
      const params = () => paramsOf(endpoint as Endpoint, target.pathname);
      return void own({ request, response, target, record, params });
    }
    void serve(withWarnings, { request, response, target, endpoint, record });
  };
}

const servedBy = ({ routes }: Endpoint, method: string): Route["serve"] =>
  method === "GET" || method === "OPTIONS" ? routes.get("GET")?.serve : undefined;

interface DepsWithWarnings extends BackendApiDeps {
  warn: PacedWarnings;
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  target: RequestTarget;
  endpoint: Endpoint | undefined;
  record: RequestRecord;
}

/** Never rejects: errors become the response. */
async function serve(deps: DepsWithWarnings, exchange: Exchange): Promise<void> {
  const { request, endpoint, record } = exchange;
  let fields: Fields = { "X-Request-Id": record.requestId };
  try {
    const apiKey = deps.authenticate(request);
    record.caller = apiKey;
    const allowance = await deps.limit?.(apiKey);
    if (allowance !== undefined) fields = { ...fields, ...rateLimitFields(allowance) };
    if (allowance?.allowed === false) return refuse(deps, exchange, overLimit(allowance), fields);
    const route = routeFor(endpoint, request.method ?? "");
    const input = await inputOf(deps, exchange, route, apiKey);
    const given = await route.handle(input);
    if (route.method !== "get" && isAct(given.body)) noteAct(deps, exchange, { route, input, outcome: given.body });
    answer(exchange, route, given, fields);
  } catch (error) {
    refuse(deps, exchange, refusalOf(error), fields);
  }
}

/** Calls that act on live connections answer how many nodes confirmed. */
const isAct = (body: unknown): body is Record<string, unknown> =>
  typeof body === "object" && body !== null && "acknowledged" in body;

function noteAct(
  { onAct, log }: BackendApiDeps,
  { record }: Exchange,
  { route, input, outcome }: { route: Route; input: Input; outcome: Record<string, unknown> },
): void {
  const counts = Object.entries(outcome).filter(([, value]) => typeof value === "number" || typeof value === "boolean");
  const act: BackendAct = {
    operation: route.operationId,
    caller: input.apiKey,
    address: input.address,
    requestId: record.requestId,
    target: { ...(input.params as object) },
    outcome: Object.fromEntries(counts.map(([name, value]) => [name, Number(value)])),
  };
  log.info(act, "backend call acted on connections");
  onAct?.(act);
}

type Input = RouteRequest<unknown, unknown, unknown>;

function answer({ request, response }: Exchange, route: Route, given: RouteAnswer, fields: Fields): void {
  const status = given.status ?? route.status ?? 200;
  const all = { ...fields, ...given.headers };
  if (route.isRevalidated !== true) return sendJson(response, status, given.body, all);
  const text = JSON.stringify(given.body);
  const tag = entityTagOf(text);
  // The caller may cache it but must revalidate each time.
  const kept = { ...all, ETag: tag, "Cache-Control": "private, no-cache" };
  if (isKnownToClient(request, tag)) sendNotModified(response, kept);
  else sendJsonText(response, status, text, kept);
}

function refuse(deps: DepsWithWarnings, exchange: Exchange, error: GatewayError, fields: Fields): void {
  const { request, response, record } = exchange;
  record.code = error.code;
  const { caller, route: operation, requestId } = record;
  const address = deps.clientAddress(request);
  recordRefusal(deps, error, { kind: "http", caller, address, operation, requestId });
  if (error.code === "unauthorized") deps.warn({ address, requestId }, "refused an API key");
  if (error.code === "internal") deps.log.error({ err: error.cause, route: record.route }, "HTTP request failed");
  sendProblem(response, error, fields, discardRest(request));
}

async function inputOf(
  deps: BackendApiDeps,
  { request, target, endpoint }: Exchange,
  route: Route,
  apiKey: string,
): Promise<Input> {
  const params = route.params && endpoint && parseWith(route.params, paramsOf(endpoint, target.pathname));
  const query = route.query && parseWith(route.query, queryOf(target.search));
  const body = route.body && parseWith(route.body, await readJson(request));
  const idempotencyKey = idempotencyKeyOf(request, body);
  return { params, query, body, apiKey, idempotencyKey, address: deps.clientAddress(request) };
}
