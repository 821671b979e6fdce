import type { Socket as NetSocket } from "node:net";

/** What of Node's own insides is used here; none of it is public, all of it is looked at in this file alone. */
interface StreamParts {
  WriteWrap: new () => WriteRequest;
  streamBaseState: Record<number, number>;
  kLastWriteWasAsync: number;
}

interface WriteRequest {
  buffer?: Buffer;
  oncomplete?: () => void;
}

/** The handle under a network socket. */
interface Handle {
  writeBuffer(request: WriteRequest, bytes: Buffer): number;
  writeQueueSize: number;
  fd?: number;
}

export interface Writer {
  /** What the kernel did not take at once has gone, or cannot go any more. */
  ended(): void;
}

/**
 * Hands bytes to the kernel past the socket's stream, which must have nothing to write. Answers how many it has not taken
 * yet, a negative number where the line is broken. Where some are left, the writer is told once when that has ended.
 */
export type DirectWrite = (socket: NetSocket, bytes: Buffer, writer: Writer) => number;

/** Versions of Node in which this was tried; in any other the stream is used. */
const triedIn: ReadonlySet<string> = new Set(["22", "24", "26"]);

/**
 * A stream keeps state for every write, allocates a request and defers its end to the next tick, whether the kernel takes
 * the bytes at once or not, which costs a third of what the kernel needs for a small frame. Here one request serves
 * until a write is really left waiting. Undefined where Node is not one of those this was tried in.
 */
export function createDirectWrite(): DirectWrite | undefined {
  const parts = streamParts();
  if (parts === undefined) return undefined;
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = parts;
  let request = new WriteWrap();

  return (socket, bytes, writer) => {
    const { _handle: handle } = socket as unknown as { _handle: Handle };
    const error = handle.writeBuffer(request, bytes);
    if (error !== 0 || streamBaseState[kLastWriteWasAsync] === 0) return error;
    // libuv reads from the buffer until it is done, so it must not be collected.
    Object.assign(request, { buffer: bytes, oncomplete: () => writer.ended() });
    request = new WriteWrap();
    return handle.writeQueueSize;
  };
}

/** Whether `createDirectWrite` can serve this socket: plain TCP, for TLS has to encrypt what is written. */
export function hasDirectHandle(socket: NetSocket): boolean {
  const { _handle: handle } = socket as unknown as { _handle?: Partial<Handle> | null };
  return handle?.constructor.name === "TCP" && typeof handle.writeBuffer === "function";
}

/** Of a socket with such a handle; -1 where the platform has none. */
export function descriptorOf(socket: NetSocket): number {
  const { _handle: handle } = socket as unknown as { _handle?: Partial<Handle> | null };
  return handle?.fd ?? -1;
}

function streamParts(): StreamParts | undefined {
  const [major = ""] = process.versions.node.split(".");
  if (!triedIn.has(major)) return undefined;
  try {
    const { binding } = process as unknown as { binding(name: string): Partial<StreamParts> };
    const parts = binding.call(process, "stream_wrap");
    return isWhole(parts) ? parts : undefined;
  } catch {
    // Node's permission model does not allow it.
    return undefined;
  }
}

function isWhole(parts: Partial<StreamParts>): parts is StreamParts {
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = parts;
  return typeof WriteWrap === "function" && typeof streamBaseState === "object" && kLastWriteWasAsync !== undefined;
}
