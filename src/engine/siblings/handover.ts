import type { IncomingMessage, Server } from "node:http";
import { Socket, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";

/**
 * What is under a TCP socket, in the form in which one process can give it to another. Nothing of it is public in Node;
 * it is looked at in this file alone.
 */
export interface Handle {
  readStop(): number;
  close(): void;
}

/**
 * Takes the line out of a socket, which is then done with. Nothing is read from it any more, so what the client sends from
 * now on waits in the system for its next owner; `process.send(socket)` would read on until the line has gone, and lose it.
 * Undefined where it is no plain TCP line, and then nothing has happened.
 */
export function takeLine(socket: Duplex): Handle | undefined {
  const parts = socket as unknown as { _handle?: Handle | null };
  const handle = parts._handle;
  if (handle?.constructor.name !== "TCP" || typeof handle.readStop !== "function") return undefined;
  handle.readStop();
  parts._handle = null;
  socket.destroy();
  return handle;
}

/** The server treats the line as if it had come to it in the first place, with what had been read from it already. */
export function giveLine(server: Server, handle: unknown, read: Uint8Array): void {
  const socket = new Socket({ handle, readable: true, writable: true } as SocketConstructorOpts);
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
