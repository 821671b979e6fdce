import { randomBytes } from "node:crypto";
import type { Request, RequestHandler, Response } from "express";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { RequestRecord } from "./route.ts";

/** Label of requests for unknown paths: one for all, so that clients cannot create labels. */
const unmatched = "unmatched";

/** Status of a request whose client disconnected before the response; the number that nginx uses. */
const clientClosedRequest = 499;

const records = new WeakMap<Response, RequestRecord>();

/** The record of a watched request. */
export const recordOf = (response: Response): RequestRecord =>
  records.get(response) ?? { route: unmatched, requestId: "" };

/** Middleware that counts, times and logs requests. */
export function createRequestWatch(deps: { metrics: Metrics; clock: Clock; log: Logger }): RequestHandler {
  const { metrics, clock, log } = deps;
  const nextId = createRequestIds();

  return (request, response, next) => {
    const startedAt = clock.monotonic();
    const record: RequestRecord = { route: unmatched, requestId: nextId(request) };
    records.set(response, record);
    response.setHeader("X-Request-Id", record.requestId);
    response.once("close", () => {
      const ms = clock.monotonic() - startedAt;
      const isAnswered = response.writableFinished || (record.isStream === true && response.headersSent);
      const status = isAnswered ? response.statusCode : clientClosedRequest;
      if (record.route === unmatched) record.route = mountedPath(request) || unmatched;
      metrics.httpRequests.inc({ route: record.route, status: `${status}` });
      if (record.isStream !== true) metrics.httpLatency.observe({ route: record.route }, ms / 1_000);
      logRequest(log, request.method, record, status, ms);
    });
    next();
  };
}

/** Ids of callers that fit into one header, log line and shell word. */
const validId = /^[\w.:-]{1,64}$/;

/** The caller's id, else one that no other process uses. */
function createRequestIds(): (request: Request) => string {
  const prefix = randomBytes(6).toString("base64url");
  let count = 0;
  return ({ headers }) => {
    const sent = headers["x-request-id"];
    return typeof sent === "string" && validId.test(sent) ? sent : `${prefix}-${(++count).toString(36)}`;
  };
}

/** The path of Express' route or of the static folder, never the requested URL. */
function mountedPath(request: Request): string {
  const path: unknown = (request.route as { path?: unknown } | undefined)?.path;
  return typeof path === "string" ? path : request.baseUrl;
}

/**
 * Refusals and writes at `debug`, successful reads not at all: `gateway_http_requests_total` counts all of them by route
 * and status. A line contains nothing that the client wrote: the method is one of those that Node's parser accepts.
 */
function logRequest(log: Logger, method: string, record: RequestRecord, status: number, ms: number): void {
  const { isStream: _isStream, ...fields } = record;
  const line = { method, ...fields, status, ms: Math.round(ms * 100) / 100 };
  if (status >= 400) log.debug(line, "HTTP request refused");
  else if (method !== "GET" && method !== "HEAD") log.debug(line, "HTTP request answered");
}
