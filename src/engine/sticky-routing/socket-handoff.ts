import type { IncomingMessage, Server } from "node:http";
import { socketOver } from "../../runtime/net-handle.ts";

/** The server handles the socket as if it had accepted it, including the bytes that were already read. */
export function acceptSocket(server: Server, handle: unknown, read: Uint8Array): void {
  const socket = socketOver(handle);
  server.emit("connection", socket);
  socket.emit("data", Buffer.from(read));
}

/** The bytes of a request as received, up to the following data. */
export function bytesOf({ method, url, rawHeaders }: IncomingMessage, rest: Buffer): Buffer {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  // Node reads each byte of a head as one character.
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), rest]);
}
