import { Socket, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";

/**
 * The handle of a plain TCP socket, which one process can pass to another. It is not public in Node: only this file uses it,
 * and a test fails if Node changes it.
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
 * Detaches the handle of a socket, which must not be used afterwards. Nothing more is read from it, so data that the client
 * sends from now on waits in the kernel for the next owner; `process.send(socket)` would continue reading until the handle is
 * gone, and lose that data. Undefined, without any effect, if it is not a plain TCP socket.
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
    // The permission model of Node forbids it.
    return undefined;
  }
}

function isComplete(parts: Partial<StreamParts>): parts is StreamParts {
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = parts;
  return typeof WriteWrap === "function" && typeof streamBaseState === "object" && kLastWriteWasAsync !== undefined;
}
