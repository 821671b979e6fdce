import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { addressGroup } from "../runtime/address-group.ts";
import { createIsTrusted, plainAddress } from "../runtime/client-address.ts";
import type { Clock } from "../runtime/clock.ts";
import { watch } from "../runtime/server-paths.ts";

/** Unless an option says otherwise. */
export const maxIdlePerAddress = 1_024;

export interface IdleConnectionsOptions {
  /** Idle connections of one address (IPv6: one /64). */
  maxPerAddress: number;
  /** Addresses and networks that are not bounded, because all clients share them. */
  trustedProxies: readonly string[];
}

/** A connection of a bounded address. Stored, because a closed socket no longer has an address. */
interface TrackedConnection {
  readonly group: string;
  requests: number;
  /** When its last response ended, or it was opened. */
  idleSince: number;
  /** It closes with its response. */
  isLast: boolean;
}

/** A request may be on its way for this long, which would fail if the connection were closed. */
const spareMs = 5_000;

/**
 * Bounds the connections without a request per peer address: when the limit is exceeded, the one that has been idle the
 * longest is closed, as HTTP permits at any time. Connections beyond the limit are closed with their response. Up to twice the limit, one that was just opened or used is spared, because
 * its next request may be on its way. Call this after everything that replaces the server's listeners.
 */
export function boundIdleConnections(
  server: Server,
  { maxPerAddress, trustedProxies }: IdleConnectionsOptions,
  clock: Clock,
): void {
  const isTrusted = createIsTrusted(trustedProxies);
  /** By address, each in the order in which they became idle. */
  const idle = new Map<string, Set<Socket>>();
  const bounded = new Map<Socket, TrackedConnection>();
  /** Connections by address that are to stay open, with and without a request. */
  const open = new Map<string, number>();

  function groupOf({ remoteAddress }: Socket): string | undefined {
    const address = plainAddress(remoteAddress ?? "");
    return address === "" || isTrusted(address) ? undefined : addressGroup(address);
  }

  function add(socket: Socket, group: string): void {
    const sockets = idle.get(group) ?? new Set();
    idle.set(group, sockets.add(socket));
    // Two, so that the number shrinks again after connections were spared.
    closeLongestIdle(sockets);
    closeLongestIdle(sockets);
  }

  function closeLongestIdle(sockets: Set<Socket>): void {
    if (sockets.size <= maxPerAddress) return;
    const [longest] = sockets;
    if (longest === undefined || (sockets.size <= 2 * maxPerAddress && isSpared(longest))) return;
    sockets.delete(longest);
    longest.destroy();
  }

  function isSpared(socket: Socket): boolean {
    const idleSince = bounded.get(socket)?.idleSince ?? -Infinity;
    return clock.monotonic() - idleSince < spareMs;
  }

  function remove(socket: Socket, group: string): void {
    const sockets = idle.get(group);
    if (sockets?.delete(socket) === true && sockets.size === 0) idle.delete(group);
  }

  /** One function for all connections, to save the memory of a closure per connection. */
  function gone(this: Socket): void {
    const connection = bounded.get(this);
    if (connection === undefined) return;
    bounded.delete(this);
    remove(this, connection.group);
    if (!connection.isLast) leave(connection.group);
  }

  function leave(group: string): void {
    const left = (open.get(group) ?? 1) - 1;
    if (left === 0) open.delete(group);
    else open.set(group, left);
  }

  function connected(socket: Socket): void {
    const group = groupOf(socket);
    if (group === undefined) return;
    open.set(group, (open.get(group) ?? 0) + 1);
    bounded.set(socket, { group, requests: 0, idleSince: clock.monotonic(), isLast: false });
    add(socket, group);
    socket.on("close", gone);
  }

  function begun({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = bounded.get(socket);
    if (connection === undefined) return;
    connection.requests += 1;
    if ((open.get(connection.group) ?? 0) > maxPerAddress) endWith(response, connection);
    remove(socket, connection.group);
    response.once("close", () => ended(socket, connection));
  }

  /** The client is told not to reuse the connection, so that closing it interrupts nothing. */
  function endWith(response: ServerResponse, connection: TrackedConnection): void {
    response.shouldKeepAlive = false;
    if (!connection.isLast) leave(connection.group);
    connection.isLast = true;
  }

  function ended(socket: Socket, connection: TrackedConnection): void {
    connection.requests -= 1;
    connection.idleSince = clock.monotonic();
    if (connection.requests === 0 && !socket.destroyed) add(socket, connection.group);
  }

  /** It carries no more requests. */
  function upgraded(_request: IncomingMessage, stream: Duplex): void {
    const socket = stream as Socket;
    gone.call(socket);
    socket.off("close", gone);
  }

  server.on("connection", connected);
  watch(server, "request", begun);
  watch(server, "upgrade", upgraded);
}
