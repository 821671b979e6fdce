import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { GatewayError } from "../protocol/errors.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { problemOf } from "../protocol/problems.ts";
import { HttpRefusal } from "./problem.ts";

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

/** Undefined if the client has disconnected. */
function refusalFor(code: string | undefined): HttpRefusal | undefined {
  if (code === "ECONNRESET" || code === "EPIPE") return undefined;
  if (code === "HPE_HEADER_OVERFLOW") return refuse(431, "The headers are larger than 16 KiB.");
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return refuse(408, "The request took too long to arrive.");
  return refuse(400, "The request is not well-formed HTTP/1.1.");
}

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
