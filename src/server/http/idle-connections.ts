import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { addressGroup } from "../address-group.ts";
import { createIsTrusted, plainAddress } from "../client-address.ts";

export interface IdleConnectionsOptions {
  /** Idle connections of one address (IPv6: one /64). */
  maxPerAddress: number;
  /** Addresses and networks that are not bounded: everybody comes through them. */
  trustedProxies: readonly string[];
}

/**
 * Bounds the connections that carry no request, by the peer's address: where one more comes, the one that has been idle the
 * longest is closed, as HTTP allows at any moment. To be called behind all who replace the server's listeners.
 */
export function boundIdleConnections(server: Server, { maxPerAddress, trustedProxies }: IdleConnectionsOptions): void {
  const isTrusted = createIsTrusted(trustedProxies);
  /** By address, each in the order in which they became idle. */
  const idle = new Map<string, Set<Socket>>();
  const requests = new WeakMap<Socket, number>();

  function groupOf({ remoteAddress }: Socket): string | undefined {
    const address = plainAddress(remoteAddress ?? "");
    return address === "" || isTrusted(address) ? undefined : addressGroup(address);
  }

  function add(socket: Socket, group: string): void {
    const sockets = idle.get(group) ?? new Set();
    idle.set(group, sockets.add(socket));
    if (sockets.size <= maxPerAddress) return;
    const [longest] = sockets;
    longest?.destroy();
  }

  function remove(socket: Socket, group: string): void {
    const sockets = idle.get(group);
    if (sockets?.delete(socket) === true && sockets.size === 0) idle.delete(group);
  }

  function connected(socket: Socket): void {
    const group = groupOf(socket);
    if (group === undefined) return;
    requests.set(socket, 0);
    add(socket, group);
    // An address is gone with its socket.
    socket.once("close", () => remove(socket, group));
  }

  function begun({ socket }: IncomingMessage, response: ServerResponse): void {
    const count = requests.get(socket);
    const group = count === undefined ? undefined : groupOf(socket);
    if (count === undefined || group === undefined) return;
    requests.set(socket, count + 1);
    remove(socket, group);
    response.once("close", () => ended(socket, group));
  }

  function ended(socket: Socket, group: string): void {
    const left = (requests.get(socket) ?? 1) - 1;
    requests.set(socket, left);
    if (left === 0 && !socket.destroyed) add(socket, group);
  }

  function upgraded(_request: IncomingMessage, stream: Duplex): void {
    const socket = stream as Socket;
    const group = groupOf(socket);
    if (group !== undefined) remove(socket, group);
  }

  server.on("connection", connected);
  server.prependListener("request", begun);
  server.prependListener("upgrade", upgraded);
}
