import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "../protocol/wire.ts";

/** Socket.IO's socket with the gateway's events. */
export type GatewaySocket = Socket<ServerToClientEvents, ClientToServerEvents>;

export const defaultPath = "/socket.io/";

/**
 * `url` may have a path, below which the gateway is reached: `https://host/realtime`. WebSocket is tried first, since it
 * needs no sticky routing. Reconnecting is `Connection`'s.
 */
export function createSocket(
  url: string,
  timeout: number,
  options: Partial<ManagerOptions & SocketOptions> | undefined,
): GatewaySocket {
  const { origin, path, query } = partsOf(url);
  return io(`${origin}/${query}`, {
    path: `${path}${defaultPath}`,
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    // Time enough to try the other transport after one that never opens.
    timeout: timeout / 2,
    ...options,
    forceNew: true,
    autoConnect: false,
    reconnection: false,
  });
}

/** Socket.IO takes a path for a namespace. `URL` has no parts in React Native, and no relative addresses. */
function partsOf(url: string): { origin: string; path: string; query: string } {
  const [, origin = "", path = "", query = ""] =
    /^((?:[a-z]+:)?\/\/[^/?#]*|[^/?#]*)([^?#]*)(\?[^#]*)?/i.exec(url) ?? [];
  return { origin, path: path.replace(/\/+$/, ""), query };
}
