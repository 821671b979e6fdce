import type { IncomingMessage, Server } from "node:http";
import { socketOver } from "../../runtime/net-handle.ts";

/** The server treats the socket as if it had been connected to it in the first place, with what was read from it already. */
export function acceptSocket(server: Server, handle: unknown, read: Uint8Array): void {
  const socket = socketOver(handle);
  server.emit("connection", socket);
  socket.emit("data", Buffer.from(read));
}

/** A request as it came over the line, up to what follows it. */
export function bytesOf({ method, url, rawHeaders }: IncomingMessage, rest: Buffer): Buffer {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  // Node reads each byte of a head as one character.
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), rest]);
}
