import { Socket, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";

/**
 * What lies under a plain TCP socket, in the form in which one process can give it to another. None of it is public in
 * Node: it is looked at in this file alone, and held by a test.
 */
export interface NetHandle {
  readStop(): number;
  close(): void;
  /** 0, or a negative errno. */
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  /** Bytes that the kernel has not taken. */
  readonly writeQueueSize: number;
  /** The file descriptor; undefined if the platform has none. */
  readonly fd?: number;
}

/** One write that is under way; libuv keeps it until it is done. */
export interface WriteRequest {
  buffer?: Buffer;
  oncomplete?: () => void;
}

export interface StreamParts {
  WriteWrap: new () => WriteRequest;
  streamBaseState: Record<number, number>;
  kLastWriteWasAsync: number;
}

interface NetSocketParts {
  _handle?: NetHandle | null;
}

interface ProcessParts {
  binding(name: string): Partial<StreamParts>;
}

const partsOf = (socket: Duplex): NetSocketParts => socket as unknown as NetSocketParts;

/** Undefined for anything but an open plain TCP socket: TLS has to encrypt what is written. */
export function handleOf(socket: Duplex): NetHandle | undefined {
  const { _handle: handle } = partsOf(socket);
  return handle?.constructor.name === "TCP" && typeof handle.writeBuffer === "function" ? handle : undefined;
}

/**
 * Takes the handle out of a socket, which is then done with. Nothing is read from it any more, so what the client sends
 * from now on waits in the kernel for its next owner; `process.send(socket)` would read on until the handle has gone, and
 * lose it. Undefined if it is no plain TCP socket, and then nothing has happened.
 */
export function detachHandle(socket: Duplex): NetHandle | undefined {
  const handle = handleOf(socket);
  if (handle === undefined) return undefined;
  handle.readStop();
  partsOf(socket)._handle = null;
  socket.destroy();
  return handle;
}

/** A socket over a handle that another process has given. */
export const socketOver = (handle: unknown): Socket =>
  new Socket({ handle, readable: true, writable: true } as SocketConstructorOpts);

/** What writes past a socket's stream take; undefined if Node does not have them, or does not allow them. */
export function streamParts(): StreamParts | undefined {
  try {
    const parts = (process as unknown as ProcessParts).binding("stream_wrap");
    return isComplete(parts) ? parts : undefined;
  } catch {
    // Node's permission model does not allow it.
    return undefined;
  }
}

function isComplete(parts: Partial<StreamParts>): parts is StreamParts {
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = parts;
  return typeof WriteWrap === "function" && typeof streamBaseState === "object" && kLastWriteWasAsync !== undefined;
}
