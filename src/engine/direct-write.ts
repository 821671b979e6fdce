import { streamParts, type NetHandle } from "../runtime/net-handle.ts";

export interface WriteListener {
  /** What the kernel did not take at once has gone, or cannot go any more. */
  written(): void;
}

/**
 * Hands bytes to the kernel past the socket's stream, which must have nothing to write. Answers how many it has not taken
 * yet, a negative number if the connection is broken. If some are left, the listener is called once when that has ended.
 */
export type DirectWrite = (handle: NetHandle, bytes: Buffer, listener: WriteListener) => number;

/** Versions of Node in which this was tried; in any other the stream is used. */
const triedIn: ReadonlySet<string> = new Set(["22", "24", "26"]);

/**
 * A stream keeps state for every write, allocates a request and defers its end to the next tick, whether the kernel takes
 * the bytes at once or not, which costs a third of what the kernel needs for a small frame. Here one request serves
 * until a write is really left waiting. Undefined if Node is not one of those this was tried in.
 */
export function createDirectWrite(): DirectWrite | undefined {
  const [major = ""] = process.versions.node.split(".");
  const parts = triedIn.has(major) ? streamParts() : undefined;
  if (parts === undefined) return undefined;
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = parts;
  let request = new WriteWrap();

  return (handle, bytes, listener) => {
    const error = handle.writeBuffer(request, bytes);
    if (error !== 0 || streamBaseState[kLastWriteWasAsync] === 0) return error;
    // libuv reads from the buffer until it is done, so it must not be collected.
    Object.assign(request, { buffer: bytes, oncomplete: () => listener.written() });
    request = new WriteWrap();
    return handle.writeQueueSize;
  };
}
