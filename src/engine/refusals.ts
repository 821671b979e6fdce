import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { errorCatalogue, GatewayError, isTemporary } from "../protocol/errors.ts";
import { problemOf, problemType, retryAfterOf } from "../protocol/problems.ts";
import { discardRest } from "../runtime/discard-rest.ts";

/** Errors of the Engine.IO protocol, with the numbers sent to clients. */
export const protocolErrors = {
  unknownTransport: { number: 0, message: "Transport unknown" },
  unknownSid: { number: 1, message: "Session ID unknown" },
  badHandshakeMethod: { number: 2, message: "Bad handshake method" },
  badRequest: { number: 3, message: "Bad request" },
  oldProtocol: { number: 5, message: "Only Engine.IO protocol 4 is supported (Socket.IO 3 and later)." },
} as const;

export type ProtocolErrorName = keyof typeof protocolErrors;

/** A request refused with an error of the Engine.IO protocol. */
export class ProtocolRefusal extends GatewayError {
  readonly number: number;

  constructor(name: ProtocolErrorName, message: string = protocolErrors[name].message) {
    super("bad_request", message);
    this.number = protocolErrors[name].number;
  }
}

export type HeaderFields = Readonly<Record<string, string>>;

interface Answer {
  status: number;
  type: string;
  body: string;
  fields: HeaderFields;
}

const json = "application/json; charset=utf-8";

/** A temporary refusal has the JSON of a Socket.IO refusal; a stock client retries by itself after such a response. */
function answerOf(refusal: GatewayError): Answer {
  const { status } = errorCatalogue[refusal.code];
  const fields = retryAfterOf(refusal, status);
  if (refusal instanceof ProtocolRefusal) {
    const body = JSON.stringify({ code: refusal.number, message: refusal.message });
    return { status, type: json, body, fields };
  }
  if (isTemporary(refusal.code)) return { status, type: json, body: JSON.stringify(refusal.toBody()), fields };
  const allow = refusal.code === "method_not_allowed" ? { Allow: "GET, POST, OPTIONS" } : {};
  return { status, type: problemType, body: JSON.stringify(problemOf(refusal)), fields: { ...fields, ...allow } };
}

/**
 * A temporary refusal starts with a space for clients that parse any response as an Engine.IO packet: they find the JSON after
 * the first character, the type.
 */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: GatewayError,
  fields: HeaderFields,
): void {
  if (response.headersSent || response.destroyed) return;
  const answer = answerOf(refusal);
  const body = isTemporary(refusal.code) ? ` ${answer.body}` : answer.body;
  response.writeHead(answer.status, {
    "Content-Type": answer.type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    ...answer.fields,
    ...fields,
  });
  const rest = discardRest(request);
  if (rest === undefined) return void response.end(body);
  response.write(body);
  void rest.then(() => response.end());
}

/** An upgrade is refused on the socket itself, because there is no response object yet. */
export function refuseUpgrade(socket: Duplex, refusal: GatewayError): void {
  const { status, type, body, fields } = answerOf(refusal);
  const all = { Connection: "close", "Content-Type": type, "Content-Length": `${Buffer.byteLength(body)}`, ...fields };
  const head = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  socket.on("error", () => socket.destroy());
  socket.once("finish", () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${head.join("\r\n")}\r\n\r\n${body}`);
}
