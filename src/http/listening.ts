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

/** Resolves when connections are accepted; rejects where the address cannot be had. */
export function listen(server: Server, { host, port, isShared = false }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, reusePort: isShared && systemSpreads }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Milliseconds between two looks for connections that have become idle while a server closes. */
const idleCheckMs = 50;

/**
 * Requests being answered are finished, idle connections end now, what is left ends at the deadline. Node ends idle
 * connections only once; one that was answering would stay open for as long as it may be kept alive.
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

/** The port a server listens on; 0 where it does not. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
