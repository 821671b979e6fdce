import { loadConfig } from "../config.ts";
import { isWorker } from "../workers/primary-link.ts";
import type { Host } from "./host.ts";

export interface StartOptions {
  /** Overrides `WORKERS`. */
  workers?: string;
  /** Overrides `APP_FILE`. */
  app?: string;
  /** Overrides `CONTRACT_FILE`. */
  contract?: string;
}

/**
 * Runs one node, or several behind one port, until asked to stop. Resolves with the exit code. Each process imports
 * only what it needs: the primary process of several contains no node.
 */
export async function start(host: Host, { workers, app, contract }: StartOptions = {}): Promise<number> {
  if (isWorker(host.env)) return (await import("./start-worker.ts")).startWorker(host);
  const config = loadConfig({
    ...host.env,
    ...(workers !== undefined && { WORKERS: workers }),
    ...(app !== undefined && { APP_FILE: app }),
    ...(contract !== undefined && { CONTRACT_FILE: contract }),
  });
  if (config.workers > 1) return (await import("./start-workers.ts")).startWorkers(host, config);
  return (await import("./start-node.ts")).startNode(host, config);
}
