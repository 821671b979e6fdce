import type { Socket as NetSocket } from "node:net";
import type { Socket as EngineSocket } from "engine.io";

/** What of Engine.IO and ws the short road needs to see; none of it is public, all of it is looked at here alone. */
interface EngineParts {
  readyState?: unknown;
  upgrading?: unknown;
  writeBuffer?: { length: number };
  transport?: { name?: unknown; socket?: WsParts };
}

interface WsParts {
  readyState?: unknown;
  _socket?: NetSocket | null;
  _sender?: { _state?: unknown; _queue?: { length: number } };
}

const wsOpen = 1;
const senderIdle = 0;

/**
 * The network socket under a connection where bytes written to it follow everything that was sent before: an open
 * WebSocket with nothing queued in Engine.IO or ws. Undefined for any other transport and at any other moment, and where
 * a library has moved one of these parts: then the ordinary road is taken.
 */
export function rawSocketOf(engine: EngineSocket): NetSocket | undefined {
  const { readyState, upgrading, writeBuffer, transport } = engine as unknown as EngineParts;
  if (readyState !== "open" || upgrading !== false || writeBuffer?.length !== 0) return undefined;
  const ws = transport?.name === "websocket" ? transport.socket : undefined;
  if (ws?.readyState !== wsOpen || ws._sender?._state !== senderIdle || ws._sender._queue?.length !== 0)
    return undefined;
  return ws._socket ?? undefined;
}

/** Bytes that wait in this process for a client to read them, on whatever road they went. */
export function waitingBytesOf(engine: EngineSocket): number {
  const { transport } = engine as unknown as EngineParts;
  return transport?.socket?._socket?.writableLength ?? 0;
}

/** Packets that Engine.IO has not handed to its transport. */
export function waitingPacketsOf(engine: EngineSocket): number {
  return (engine as unknown as EngineParts).writeBuffer?.length ?? 0;
}
