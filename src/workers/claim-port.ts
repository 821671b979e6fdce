import { createServer } from "node:net";

/**
 * The port that all workers are to listen on; 0 becomes a free one. Rejects where somebody listens there already: ports
 * that are shared among processes are shared with any other of the same user, without a word.
 */
export function claimPort({ host, port }: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen({ host, port }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}
