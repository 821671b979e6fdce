import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { addressGroup } from "../runtime/address-group.ts";
import { createIsTrusted, plainAddress } from "../runtime/client-address.ts";
import type { Clock } from "../runtime/clock.ts";

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
  /** When its last response ended; undefined before its first request. */
  usedAt: number | undefined;
}

/** A client may be about to reuse a connection for this long, and closing it would fail that request. */
const reuseMs = 2_000;

/**
 * Bounds the connections without a request per peer address: when the limit is exceeded, the one that has been idle the
 * longest is closed, as HTTP permits at any time. Up to twice the limit, one that was just used is spared, because its client
 * may be sending the next request. Call this after everything that replaces the server's listeners.
 */
export function boundIdleConnections(
  server: Server,
  { maxPerAddress, trustedProxies }: IdleConnectionsOptions,
  clock: Clock,
): void {
  const isTrusted = createIsTrusted(trustedProxies);
  /** By address, each in the order in which they became idle. */
  const idle = new Map<string, Set<Socket>>();
  const bounded = new WeakMap<Socket, TrackedConnection>();

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
    if (longest === undefined || (sockets.size <= 2 * maxPerAddress && mayBeReused(longest))) return;
    sockets.delete(longest);
    longest.destroy();
  }

  function mayBeReused(socket: Socket): boolean {
    const usedAt = bounded.get(socket)?.usedAt;
    return usedAt !== undefined && clock.monotonic() - usedAt < reuseMs;
  }

  function remove(socket: Socket, group: string): void {
    const sockets = idle.get(group);
    if (sockets?.delete(socket) === true && sockets.size === 0) idle.delete(group);
  }

  /** One function for all connections: a connection that lives long should not carry one of its own. */
  function gone(this: Socket): void {
    const group = bounded.get(this)?.group;
    if (group !== undefined) remove(this, group);
  }

  function connected(socket: Socket): void {
    const group = groupOf(socket);
    if (group === undefined) return;
    bounded.set(socket, { group, requests: 0, usedAt: undefined });
    add(socket, group);
    socket.once("close", gone);
  }

  function begun({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = bounded.get(socket);
    if (connection === undefined) return;
    connection.requests += 1;
    remove(socket, connection.group);
    response.once("close", () => ended(socket, connection));
  }

  function ended(socket: Socket, connection: TrackedConnection): void {
    connection.requests -= 1;
    connection.usedAt = clock.monotonic();
    if (connection.requests === 0 && !socket.destroyed) add(socket, connection.group);
  }

  /** It carries no more requests. */
  function upgraded(_request: IncomingMessage, stream: Duplex): void {
    const socket = stream as Socket;
    gone.call(socket);
    bounded.delete(socket);
    socket.off("close", gone);
  }

  server.on("connection", connected);
  server.prependListener("request", begun);
  server.prependListener("upgrade", upgraded);
}
