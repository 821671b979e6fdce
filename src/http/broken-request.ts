import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { GatewayError } from "../protocol/errors.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { problemOf } from "../protocol/problems.ts";
import { headerValues } from "./headers.ts";
import { HttpRefusal, sendProblem } from "./problem.ts";

/** What a request of any call may be answered before it reaches the call, by status. */
export const detailsBeforeCalls = {
  408: "The request took too long to arrive.",
  417: "The only expectation that can be met is 100-continue.",
  431: "The headers are larger than 16 KiB.",
} as const;

/** Label of requests that never became one. */
const route = "malformed";

/**
 * Responds to a request that Node's parser refused or that timed out with a problem document, then closes the
 * connection.
 */
export function createBrokenRequestAnswer({ metrics }: { metrics: Pick<Metrics, "httpRequests"> }) {
  return (error: NodeJS.ErrnoException, socket: Duplex & { bytesWritten?: number }): void => {
    const refusal = refusalFor(error.code);
    if (refusal !== undefined && !isAnswered(error.code, socket)) {
      metrics.httpRequests.inc({ route, status: `${refusal.status}` });
      socket.write(textOf(refusal));
    }
    socket.destroy();
  };
}

/** Answers requests whose headers make them impossible to handle. */
export function createHeaderChecks({ metrics }: { metrics: Pick<Metrics, "httpRequests"> }) {
  function answer(response: ServerResponse, refusal: HttpRefusal): void {
    metrics.httpRequests.inc({ route, status: `${refusal.status}` });
    sendProblem(response, refusal, { Connection: "close" });
  }
  return {
    /** Whether a request may be handled; if not it is answered. */
    accepts(request: IncomingMessage, response: ServerResponse): boolean {
      const isAccepted = hasOneHost(request);
      if (!isAccepted) answer(response, refuse(400, "Send exactly one Host header."));
      return isAccepted;
    },
    /** Of a request that expects anything but `100-continue`. */
    refuseExpectation: (_request: IncomingMessage, response: ServerResponse): void =>
      answer(response, refusalBeforeCalls(417)),
  };
}

/** With several hosts, a proxy and this server might choose different ones. The RFC requires exactly one. */
function hasOneHost(request: IncomingMessage): boolean {
  const { length } = headerValues(request, "host");
  return length === 1 || (length === 0 && request.httpVersion === "1.0");
}

/** Undefined if the client has disconnected. */
function refusalFor(code: string | undefined): HttpRefusal | undefined {
  if (code === "ECONNRESET" || code === "EPIPE") return undefined;
  if (code === "HPE_HEADER_OVERFLOW") return refusalBeforeCalls(431);
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return refusalBeforeCalls(408);
  return refuse(400, "The request is not well-formed HTTP/1.1.");
}

export const refusalBeforeCalls = (status: keyof typeof detailsBeforeCalls): HttpRefusal =>
  refuse(status, detailsBeforeCalls[status]);

const refuse = (status: number, detail: string): HttpRefusal =>
  new HttpRefusal(new GatewayError("bad_request", detail), status);

/** A slow body may already have been refused before it was complete. */
function isAnswered(
  code: string | undefined,
  { writable, bytesWritten = 0 }: Duplex & { bytesWritten?: number },
): boolean {
  return !writable || (code === "ERR_HTTP_REQUEST_TIMEOUT" && bytesWritten > 0);
}

function textOf(refusal: HttpRefusal): string {
  const body = JSON.stringify(problemOf(refusal, refusal.status));
  return [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    "Content-Type: application/problem+json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}
