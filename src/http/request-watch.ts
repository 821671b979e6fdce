import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";

/** Filled in while a request is handled; logged and counted when it ends. */
export interface RequestRecord {
  /** Template of the path, never the path itself: it comes from a closed set. */
  route: string;
  /** Name of the API key. */
  caller?: string;
  code?: ErrorCode;
}

/** Counts and times a request, and writes its log line when it ends. */
export type WatchRequest = (
  request: IncomingMessage,
  response: ServerResponse,
  route: string | undefined,
) => RequestRecord;

/** Label of requests for unknown paths: one for all, so that clients cannot create labels. */
const unmatched = "unmatched";

/** Status of a request whose client disconnected before the response; the number that nginx uses. */
const clientClosedRequest = 499;

export function createRequestWatch(deps: { metrics: Metrics; clock: Clock; log: Logger }): WatchRequest {
  const { metrics, clock, log } = deps;

  return (request, response, route) => {
    const startedAt = clock.monotonic();
    const record: RequestRecord = { route: route ?? unmatched };
    response.once("close", () => {
      const ms = clock.monotonic() - startedAt;
      const status = response.writableFinished ? response.statusCode : clientClosedRequest;
      metrics.httpRequests.inc({ route: record.route, status: `${status}` });
      metrics.httpLatency.observe({ route: record.route }, ms / 1_000);
      logRequest(log, request.method ?? "", record, status, ms);
    });
    return record;
  };
}

/**
 * Refusals and writes at `debug`, successful reads not at all: `gateway_http_requests_total` counts all of them by route
 * and status. A line contains nothing that the client wrote: the method is one of those that Node's parser accepts.
 */
function logRequest(log: Logger, method: string, record: RequestRecord, status: number, ms: number): void {
  const line = { method, ...record, status, ms: Math.round(ms * 100) / 100 };
  if (status >= 400) log.debug(line, "HTTP request refused");
  else if (method !== "GET" && method !== "HEAD") log.debug(line, "HTTP request answered");
}
