import { STATUS_CODES, ServerResponse, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { GatewayError, isTemporary } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import {
  HttpRefusal,
  jsonType,
  problemOf,
  problemType,
  retryAfterOf,
  sendProblem,
  sendRefusal,
  statusOf,
  type Fields,
} from "../http/problem.ts";
import { discardRest } from "../http/request-body.ts";
import { limiterOf } from "../commands/refusal.ts";
import type { Admission, RequestCarrier, Refusal } from "../connections/admission.ts";
import type { ErrorReporter } from "../connections/error-reporter.ts";
import { createOrigins, type AllowedOrigins } from "./origins.ts";

export interface RequestCheckDeps {
  admission: Pick<Admission, "admit">;
  metrics: Pick<Metrics, "refusals" | "handshakes">;
  failures: ErrorReporter;
  log: Logger;
}

export interface RequestCheckOptions {
  allowedOrigins: AllowedOrigins;
  /** Largest body of a polling request. */
  maxBodyBytes: number;
}

/** Engine.IO parsed the query before it asks us. */
type EngineRequest = IncomingMessage & { _query: Readonly<Record<string, string>> };

/** Runs before Engine.IO looks at a request: first of a connection or later, plain or an upgrade to WebSocket. */
export type RequestCheck = (request: IncomingMessage, response: object, next: () => void) => void;

/**
 * Refuses by HTTP status what must not reach Engine.IO: its own hook sees neither later requests of a connection nor
 * knows a status for upgrades. What is temporary is refused here, with `Retry-After` and the JSON of a Socket.IO refusal:
 * a stock client tries again by itself after an error of the transport.
 */
export function createRequestCheck(deps: RequestCheckDeps, options: RequestCheckOptions): RequestCheck {
  const origins = createOrigins(options.allowedOrigins);
  const warn = createPacedWarnings(deps.log, { everyMs: 60_000 });

  function refusalOf(request: EngineRequest, isUpgrade: boolean): GatewayError | undefined {
    if (!origins.isAllowed(request.headers)) return refuseOrigin(request);
    if (request.method === "OPTIONS" && !isUpgrade) return undefined;
    return wrongQuery(request._query, isUpgrade) ?? wrongMethod(request) ?? wrongBody(request, options);
  }

  function refuseOrigin({ headers }: IncomingMessage): GatewayError {
    warn({ origin: headers.origin?.slice(0, maxOriginLength) }, "refused an origin that is not in ALLOWED_ORIGINS");
    return new GatewayError("forbidden", "The origin is not allowed.");
  }

  function checkPlain(request: EngineRequest, response: ServerResponse, next: () => void): void {
    const cors = origins.corsFields(request.headers);
    const refuse = (refusal: GatewayError): void => refusePlain(request, response, refusal, cors);
    const refusal = refusalOf(request, false);
    if (refusal !== undefined) return refuse(refusal);
    for (const [name, value] of Object.entries(cors)) response.setHeader(name, value);
    if (request.method === "OPTIONS") answerPreflight(response);
    else admit(request, response, { next, refuse });
  }

  function refusePlain(request: EngineRequest, response: ServerResponse, refusal: GatewayError, cors: Fields): void {
    count(refusal);
    if (isTemporary(refusal.code)) return sendRefusal(response, refusal, cors);
    sendProblem(response, refusal, cors, discardRest(request));
  }

  function checkUpgrade(request: EngineRequest, next: () => void): void {
    const refuse = (refusal: GatewayError): void => {
      count(refusal);
      refuseUpgrade(request.socket, refusal);
    };
    const refusal = refusalOf(request, true);
    if (refusal !== undefined) refuse(refusal);
    else admit(request, request.socket, { next, refuse });
  }

  function admit(request: EngineRequest, carrier: RequestCarrier, { next, refuse }: Outcome): void {
    if (!isFirst(request)) return next();
    const settle = (refusal: Refusal): void => {
      if (refusal !== undefined) refuse(refusal);
      else if (!carrier.destroyed) next();
    };
    const asked = deps.admission.admit(request, carrier);
    if (!(asked instanceof Promise)) return settle(asked);
    asked.then(settle).catch((error: unknown) => {
      deps.failures.report("socket.admission", error);
      carrier.destroy();
    });
  }

  function count(refusal: GatewayError): void {
    const { code } = refusal;
    deps.metrics.refusals.inc({ code, limiter: limiterOf(refusal) });
    if (isTemporary(code)) deps.metrics.handshakes.inc({ outcome: code });
  }

  return (request, response, next) =>
    response instanceof ServerResponse
      ? checkPlain(request as EngineRequest, response, next)
      : checkUpgrade(request as EngineRequest, next);
}

/** Characters of a stranger's origin in the log. */
const maxOriginLength = 256;

interface Outcome {
  next: () => void;
  refuse: (refusal: GatewayError) => void;
}

/** Of a connection. As Engine.IO sees it, to which an empty `sid` is none; it refuses a first POST by itself. */
const isFirst = ({ method, _query }: EngineRequest): boolean => method === "GET" && !_query.sid;

const wrong = (message: string, status = 400, fields = {}): GatewayError =>
  new HttpRefusal(new GatewayError("bad_request", message), status, fields);

function wrongQuery(query: EngineRequest["_query"], isUpgrade: boolean): GatewayError | undefined {
  if (query.EIO !== "4") return wrong("Only Engine.IO protocol 4 is supported (Socket.IO 3 and later).");
  if (query.transport !== (isUpgrade ? "websocket" : "polling"))
    return wrong("The transport does not match the request.");
  // Answers as scripts can be read across origins.
  return query.j === undefined ? undefined : wrong("JSONP is not supported.");
}

/** The protocol asks for 400 where a connection begins; clients' own test suites hold servers to it. */
function wrongMethod({ method, _query: { sid } }: EngineRequest): GatewayError | undefined {
  if (method === "GET" || method === "POST") return undefined;
  return wrong("Use GET or POST.", sid === undefined ? 400 : 405, { Allow: "GET, POST, OPTIONS" });
}

/** Compressed bodies are refused unread: a small one can unpack to any size. */
function wrongBody(
  { method, headers }: IncomingMessage,
  { maxBodyBytes }: RequestCheckOptions,
): GatewayError | undefined {
  if (method !== "POST") return undefined;
  if (headers["content-encoding"] !== undefined)
    return new GatewayError("unsupported_media_type", "Send the body without a Content-Encoding.");
  if (!/^text\/plain\b/i.test(headers["content-type"] ?? "text/plain"))
    return new GatewayError("unsupported_media_type", "Send the body as text/plain.");
  if (Number(headers["content-length"] ?? 0) <= maxBodyBytes) return undefined;
  return new GatewayError("payload_too_large", `The body is larger than ${maxBodyBytes} bytes.`);
}

function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
    "Access-Control-Max-Age": "600",
  });
  response.end();
}

/** An upgrade is refused on the bare connection: there is no response object yet. */
function refuseUpgrade(socket: Duplex, refusal: GatewayError): void {
  const status = statusOf(refusal);
  const isPlain = isTemporary(refusal.code);
  const body = JSON.stringify(isPlain ? refusal.toBody() : problemOf(refusal));
  const fields = {
    Connection: "close",
    "Content-Type": isPlain ? jsonType : problemType,
    "Content-Length": `${Buffer.byteLength(body)}`,
    ...retryAfterOf(refusal),
  };
  const head = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  socket.on("error", () => socket.destroy());
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${head.join("\r\n")}\r\n\r\n${body}`);
}
