import { hash } from "node:crypto";
import type { IncomingMessage, OutgoingHttpHeaders } from "node:http";

/** RFC 6455, 1.3. */
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const keyForm = /^[+/0-9A-Za-z]{22}==$/;
const protocolForm = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** The error of an upgrade request; undefined if it is valid. */
export function wrongHandshake({ method, headers }: IncomingMessage): string | undefined {
  if (method !== "GET") return "Use GET.";
  if (!keyForm.test(headers["sec-websocket-key"] ?? "")) return "The Sec-WebSocket-Key header is missing or not valid.";
  if (headers["sec-websocket-version"] !== "13") return "Only version 13 of WebSocket is supported.";
  return protocolsOf(headers).every((name) => protocolForm.test(name))
    ? undefined
    : "The Sec-WebSocket-Protocol header is not valid.";
}

/** The response to a valid request, with further `fields`. Accepts no extension, and the first of the client's protocols. */
export function handshakeAnswer({ headers }: IncomingMessage, fields: OutgoingHttpHeaders = {}): string {
  const accept = hash("sha1", `${headers["sec-websocket-key"]}${magic}`, "base64");
  const [protocol] = protocolsOf(headers);
  const agreed = protocol === undefined ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`;
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${agreed}${linesOf(fields)}\r\n`;
}

const linesOf = (fields: OutgoingHttpHeaders): string =>
  Object.entries(fields)
    .flatMap(([name, value]) => [value ?? []].flat().map((one) => `${name}: ${one}\r\n`))
    .join("");

const protocolsOf = (headers: IncomingMessage["headers"]): string[] =>
  headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];
