import type { IncomingMessage, ServerResponse } from "node:http";
import type { ErrorCode } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";

/** What is known of a request by the time it ends; filled in on its way. */
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

/** Label of requests for paths we do not have: one for all, so that strangers cannot make labels. */
const unmatched = "unmatched";

/** Status in logs and metrics of a request whose client went away before the answer; nginx' number for it. */
const clientGone = 499;

export function createRequestWatch(deps: { metrics: Metrics; clock: Clock; log: Logger }): WatchRequest {
  const { metrics, clock, log } = deps;

  return (request, response, route) => {
    const begun = clock.monotonic();
    const record: RequestRecord = { route: route ?? unmatched };
    response.once("close", () => {
      const ms = clock.monotonic() - begun;
      const status = response.writableFinished ? response.statusCode : clientGone;
      metrics.httpRequests.inc({ route: record.route, status: `${status}` });
      metrics.httpLatency.observe({ route: record.route }, ms / 1_000);
      logRequest(log, request.method ?? "", record, status, ms);
    });
    return record;
  };
}

/**
 * Failures at `info`, writes at `debug`, reads not at all. A line holds nothing the client wrote: the method is one of
 * those that Node's parser knows, the rest are our own words.
 */
function logRequest(log: Logger, method: string, record: RequestRecord, status: number, ms: number): void {
  const line = { method, ...record, status, ms: Math.round(ms * 100) / 100 };
  if (status >= 400) log.info(line, "HTTP request refused");
  else if (method !== "GET" && method !== "HEAD") log.debug(line, "HTTP request answered");
}
