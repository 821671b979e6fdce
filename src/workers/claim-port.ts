import { createServer } from "node:net";
import { ListenError } from "../runtime/listen-error.ts";

/**
 * Chooses the port that all workers listen on; 0 becomes a free one. Rejects if it is in use: ports shared among
 * processes could otherwise be shared silently with any other process of the same user.
 */
export function claimPort({ host, port }: { host: string; port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", (error) => reject(new ListenError(error, "PORT")));
    probe.listen({ host, port }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : port));
    });
  });
}
