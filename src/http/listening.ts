import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../runtime/clock.ts";

export interface Address {
  host: string;
  port: number;
  /** Other processes of ours listen there too. */
  isShared?: boolean | undefined;
}

/**
 * Where the system spreads connections over all who listen on a port. Elsewhere Node's cluster does: the primary process
 * takes them, and hands them to the workers in turn.
 */
const systemSpreads = process.platform === "linux";

/** Resolves when connections are accepted; rejects if the address is not available. */
export function listen(server: Server, { host, port, isShared = false }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, reusePort: isShared && systemSpreads }, () => {
      server.off("error", reject);
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
    else server.closeIdleConnections();
  });
  await closed;
  cancel();
}

/** The port a server listens on; 0 if it does not listen. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
