import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

/** Resolves when connections are accepted; rejects where the address cannot be had. */
export function listen(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** Requests being answered are finished, idle connections end now, what is left ends at the deadline. */
export function close(server: Server, deadline: AbortSignal): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const closeAll = (): void => server.closeAllConnections();
  server.closeIdleConnections();
  if (deadline.aborted) closeAll();
  deadline.addEventListener("abort", closeAll, { once: true });
  return closed.finally(() => deadline.removeEventListener("abort", closeAll));
}

/** The port a server listens on; 0 where it does not. */
export function portOf(server: Server): number {
  return (server.address() as AddressInfo | null)?.port ?? 0;
}
