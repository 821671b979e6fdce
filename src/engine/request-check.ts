import type { IncomingMessage, ServerResponse } from "node:http";
import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import type { EngineRequest } from "./engine-socket.ts";
import { createOrigins, type AllowedOrigins, type Origins } from "./origins.ts";
import { ProtocolRefusal, type HeaderFields } from "./refusals.ts";

export interface HttpCheckOptions {
  allowedOrigins: AllowedOrigins;
  /** Max bytes of a polling request's body. */
  maxBodyBytes: number;
}

/** Checks a request on its own, independently of its connection. */
export class HttpCheck {
  readonly #origins: Origins;
  readonly #maxBodyBytes: number;
  readonly #warn: ReturnType<typeof createPacedWarnings>;

  constructor({ allowedOrigins, maxBodyBytes }: HttpCheckOptions, log: Logger) {
    this.#origins = createOrigins(allowedOrigins);
    this.#maxBodyBytes = maxBodyBytes;
    this.#warn = createPacedWarnings(log, { everyMs: 60_000 });
  }

  /** Header fields that let a page of an allowed origin read the response. */
  corsFields(request: IncomingMessage): HeaderFields {
    return this.#origins.corsFields(request.headers);
  }

  refusalOf(request: EngineRequest, isUpgrade: boolean): GatewayError | undefined {
    if (!this.#origins.isAllowed(request.headers)) return this.#refuseOrigin(request);
    if (request.method === "OPTIONS" && !isUpgrade) return undefined;
    return wrongQuery(request._query, isUpgrade) ?? wrongMethod(request) ?? this.#wrongBody(request);
  }

  #refuseOrigin({ headers }: IncomingMessage): GatewayError {
    const origin = headers.origin?.slice(0, maxOriginLength);
    this.#warn({ origin }, "refused an origin that is not in ALLOWED_ORIGINS");
    return new GatewayError("forbidden", "The origin is not allowed.", { reason: { rule: "origin", detail: origin } });
  }

  /** Compressed bodies are refused unread: a small one can unpack to any size. */
  #wrongBody({ method, headers }: IncomingMessage): GatewayError | undefined {
    if (method !== "POST") return undefined;
    if (headers["content-encoding"] !== undefined)
      return new GatewayError("unsupported_media_type", "Send the body without a Content-Encoding.");
    if (!/^text\/plain\b/i.test(headers["content-type"] ?? "text/plain"))
      return new GatewayError("unsupported_media_type", "Send the body as text/plain.");
    if (Number(headers["content-length"] ?? 0) <= this.#maxBodyBytes) return undefined;
    return new GatewayError("payload_too_large", `The body is larger than ${this.#maxBodyBytes} bytes.`);
  }
}

/** Max characters of a refused origin in the log. */
const maxOriginLength = 256;

const transports: readonly (string | undefined)[] = ["polling", "websocket"];

function wrongQuery(query: EngineRequest["_query"], isUpgrade: boolean): GatewayError | undefined {
  if (query.EIO !== "4") return new ProtocolRefusal("oldProtocol");
  if (!transports.includes(query.transport)) return new ProtocolRefusal("unknownTransport");
  if (query.transport !== (isUpgrade ? "websocket" : "polling"))
    return new ProtocolRefusal("badRequest", "The transport does not match the request.");
  // Pages of other origins can read responses that are scripts.
  return query.j === undefined ? undefined : new ProtocolRefusal("badRequest", "JSONP is not supported.");
}

/** The protocol requires 400 for the first request of a connection; its test suite checks that. */
function wrongMethod({ method, _query: { sid } }: EngineRequest): GatewayError | undefined {
  if (method === "GET" || (method === "POST" && sid)) return undefined;
  if (!sid) return new ProtocolRefusal("badHandshakeMethod");
  return new GatewayError("method_not_allowed", "Use GET or POST.");
}

export function answerPreflight(response: ServerResponse): void {
  response.writeHead(204, {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
    "Access-Control-Max-Age": "600",
  });
  response.end();
}

/** The query as Socket.IO parses it: if a name occurs several times, the last value counts. */
export function queryOf({ url = "" }: IncomingMessage): EngineRequest["_query"] {
  const query = Object.create(null) as Record<string, string>;
  const start = url.indexOf("?");
  if (start === -1) return query;
  const text = url.slice(start + 1);
  if (!isEncoded.test(text)) for (const part of text.split("&")) readPart(query, part);
  else for (const [name, value] of new URLSearchParams(text)) query[name] = value;
  return query;
}

const isEncoded = /[%+]/;

/** As `URLSearchParams` does, which takes ten times as long, where nothing is encoded. */
function readPart(query: Record<string, string>, part: string): void {
  const equals = part.indexOf("=");
  if (equals !== -1) query[part.slice(0, equals)] = part.slice(equals + 1);
  else if (part !== "") query[part] = "";
}
