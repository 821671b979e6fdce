import { loadConfig } from "../config.ts";
import { isWorker } from "../workers/worker-place.ts";
import type { Host } from "./host.ts";

export interface StartOptions {
  /** What `WORKERS` says otherwise. */
  workers?: string;
}

/**
 * Runs one node, or several behind one port, until asked to go. Resolves with the exit code once all have gone. Each
 * process loads what it needs: the primary one of several holds no node.
 */
export async function start(host: Host, { workers }: StartOptions = {}): Promise<number> {
  if (isWorker(host.env)) return (await import("./start-worker.ts")).startWorker(host);
  const config = loadConfig(workers === undefined ? host.env : { ...host.env, WORKERS: workers });
  if (config.workers > 1) return (await import("./start-workers.ts")).startWorkers(host, config);
  return (await import("./start-node.ts")).startNode(host, config);
}
