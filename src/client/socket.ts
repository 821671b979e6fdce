import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "../protocol/wire.ts";

/** Socket.IO's socket, typed with the gateway's events. */
export type GatewaySocket = Socket<ServerToClientEvents, ClientToServerEvents>;

export const defaultPath = "/socket.io/";

/**
 * `url` may have a path below which the gateway is reached: `https://host/realtime`. WebSocket is tried first, because
 * it needs no sticky routing. `Connection` reconnects.
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
    // Leaves time to try the other transport if the first never opens.
    timeout: timeout / 2,
    ...options,
    forceNew: true,
    autoConnect: false,
    reconnection: false,
  });
}

/** Socket.IO treats a path as a namespace. React Native's `URL` has no parts and no relative URLs. */
function partsOf(url: string): { origin: string; path: string; query: string } {
  const [, origin = "", path = "", query = ""] =
    /^((?:[a-z]+:)?\/\/[^/?#]*|[^/?#]*)([^?#]*)(\?[^#]*)?/i.exec(url) ?? [];
  return { origin, path: path.replace(/\/+$/, ""), query };
}
