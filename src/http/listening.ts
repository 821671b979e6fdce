import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../runtime/clock.ts";
import { ListenError, type PortSetting } from "../runtime/listen-error.ts";
import { watch } from "../runtime/server-paths.ts";

export interface Address {
  host: string;
  port: number;
  /** Other processes of ours listen there too. */
  isShared?: boolean | undefined;
  /** @default "PORT" */
  setting?: PortSetting | undefined;
}

/**
 * Where the system spreads connections over all who listen on a port. Elsewhere Node's cluster does: the primary process
 * takes them, and hands them to the workers in turn.
 */
const systemSpreads = process.platform === "linux";

/** Connections that have not sent a request, as browsers open in advance. Node does not count them as idle. */
const unused = new WeakMap<Server, Set<Socket>>();

function trackUnused(server: Server): void {
  const sockets = new Set<Socket>();
  unused.set(server, sockets);
  // One function for all connections, to save the memory of a closure per connection.
  function gone(this: Socket): void {
    sockets.delete(this);
  }
  const used = ({ socket }: IncomingMessage): void => {
    if (sockets.delete(socket)) socket.off("close", gone);
  };
  server.on("connection", (socket) => sockets.add(socket.on("close", gone)));
  watch(server, "request", used);
  watch(server, "upgrade", used);
}

/** Resolves when connections are accepted; rejects with a ListenError if the address is not available. */
export function listen(server: Server, { host, port, isShared = false, setting = "PORT" }: Address): Promise<void> {
  trackUnused(server);
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => reject(new ListenError(error, setting));
    server.once("error", refuse);
    server.listen({ host, port, reusePort: isShared && systemSpreads }, () => {
      server.off("error", refuse);
      resolve();
    });
  });
}

/** Interval at which a closing server closes connections that have become idle. */
const idleCheckMs = 50;

/**
 * Pending requests are completed, idle connections are closed now, and the rest at the deadline. Node closes idle
 * connections only once; a connection that was busy then would stay open for its keep-alive timeout.
 */
export async function close(server: Server, clock: Clock, deadline: AbortSignal): Promise<void> {
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  const cancel = clock.every(idleCheckMs, () => {
    if (deadline.aborted) server.closeAllConnections();
    else closeIdle(server);
  });
  await closed;
  cancel();
}

function closeIdle(server: Server): void {
  server.closeIdleConnections();
  for (const socket of unused.get(server) ?? []) socket.destroy();
}

/** The port a server listens on; 0 if it does not listen. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
