import { streamParts, type NetHandle } from "../runtime/net-handle.ts";

export interface WriteListener {
  /** The remaining bytes were written, or failed. */
  written(): void;
}

/**
 * Passes bytes to the kernel, bypassing the socket's stream, which must have nothing queued. Returns how many bytes are left,
 * or a negative number if the connection failed. If bytes are left, the listener is called once they were written.
 */
export type DirectWrite = (handle: NetHandle, bytes: Buffer, listener: WriteListener) => number;

/** Versions of Node in which this was tested; any other uses the stream. */
const triedIn: ReadonlySet<string> = new Set(["22", "24", "26"]);

/**
 * A stream keeps state for every write, allocates a request and completes it in the next tick, even if the kernel accepts all
 * bytes immediately; for a small frame, this costs a third of the kernel's own work. Here one request is reused until a write
 * is actually pending. Undefined in versions of Node in which this was not tested.
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
    // libuv reads from the buffer until the write completes, so it must not be garbage-collected.
    Object.assign(request, { buffer: bytes, oncomplete: () => listener.written() });
    request = new WriteWrap();
    return handle.writeQueueSize;
  };
}
