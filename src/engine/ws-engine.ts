import type { Duplex } from "node:stream";
import { WebSocketServer, type ServerOptions } from "ws";

export interface WsEngineOptions {
  /** Bytes of one message until a connection's own bound is set. */
  maxPayload: number;
  /** Milliseconds a client may take to answer a close before its connection is cut. */
  closeTimeoutMs: number;
}

/** What one unfinished message may hold: frames, and pieces in which the network delivered one frame. */
const maxFragments = 64;
const maxBufferedChunks = 1_024;

/** The answer to an upgrade and Engine.IO's greeting, which follows in the same turn, leave in one write. */
function writeTogether(socket: Duplex): void {
  socket.cork();
  setImmediate(() => socket.uncork());
}

/** The WebSocket server class that Engine.IO makes one of. */
export function createWsEngine({
  maxPayload,
  closeTimeoutMs,
}: WsEngineOptions): new (options: ServerOptions) => WebSocketServer {
  const bounds = {
    maxPayload,
    maxFragments,
    maxBufferedChunks,
    // Pongs wait behind a reader that does not read; who pings on meanwhile is cut.
    maxPendingAutoPongs: 16,
    closeTimeout: closeTimeoutMs,
    perMessageDeflate: false,
    skipUTF8Validation: false,
  };
  return class BoundedWebSocketServer extends WebSocketServer {
    constructor(options: ServerOptions) {
      super({ ...options, ...bounds });
      this.on("headers", (_, { socket }) => writeTogether(socket));
    }
  };
}
