import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import type { ClientToServerEvents, ServerToClientEvents } from "../protocol/wire.ts";

/** Socket.IO's socket with the gateway's events. */
export type GatewaySocket = Socket<ServerToClientEvents, ClientToServerEvents>;

/** WebSocket first: no stickiness is needed for it. Reconnecting is `Connection`'s. */
export function createSocket(
  url: string,
  timeout: number,
  options: Partial<ManagerOptions & SocketOptions> | undefined,
): GatewaySocket {
  return io(url, {
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    timeout,
    ...options,
    forceNew: true,
    autoConnect: false,
    reconnection: false,
  });
}
