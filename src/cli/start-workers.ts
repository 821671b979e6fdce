import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { warningsOf } from "../config/warnings.ts";
import { addFeedHub } from "../gateway/feed-hub.ts";
import { locateStore, type LocatedStore } from "../gateway/locate-store.ts";
import { urlOf } from "../gateway/url.ts";
import { systemClock as clock } from "../runtime/clock.ts";
import { createLifecycle, type Lifecycle } from "../runtime/lifecycle.ts";
import { createLogger, type Logger } from "../runtime/logger.ts";
import { createMetricsServer } from "../http/metrics-server.ts";
import { claimPort } from "../workers/claim-port.ts";
import { Supervisor, graceMs, WorkerFailed, type SupervisorDeps } from "../workers/supervisor.ts";
import { createPrimaryMetrics } from "../workers/primary-metrics.ts";
import { banner } from "./banner.ts";
import { exitCodes, type Host } from "./host.ts";
import { onRequestToEnd } from "./signals.ts";
import { logStrayErrors } from "./uncaught-errors.ts";

/** Runs several workers behind one port until asked to stop. Resolves with the exit code. */
export async function startWorkers(host: Host, config: Config): Promise<number> {
  const log = createLogger({ level: config.logLevel, base: { node: `${config.nodeId}-primary` } });
  for (const warning of warningsOf(config, host.env)) log.warn({}, warning);
  // If all workers exit at once, nothing else keeps this process alive to replace them.
  const alive = setInterval(() => undefined, 60_000);
  try {
    return await run(host, config, log);
  } catch (error) {
    if (!(error instanceof WorkerFailed) || !error.isReported) throw error;
    log.fatal({ reason: error.message }, "shutting down after a failure");
    return error.exitCode;
  } finally {
    clearInterval(alive);
  }
}

async function run(host: Host, config: Config, log: Logger): Promise<number> {
  const lifecycle = createLifecycle({ clock, log });
  const toEnd = new Promise<string>((resolve) => onRequestToEnd(host, resolve));
  const port = await claimPort(config);
  const store = await locateStore(config, log);
  lifecycle.add({ name: "store", stop: store.stop });
  const folder = mkdtempSync(join(tmpdir(), "tidegate-"));
  lifecycle.add({ name: "folder", stop: () => rmSync(folder, { recursive: true, force: true }) });
  if (config.workerFeed === "shared") addFeedHub(config, { address: store.address, folder, clock, log, lifecycle });
  const supervisor = createSupervisor(host, { ...config, port, redis: store.address }, { folder, log, lifecycle });

  const started = lifecycle.start();
  const isUp = (await Promise.race([started, toEnd])) === undefined;
  if (isUp) announce(host, { ...config, port }, store, log);
  // Ctrl-C reaches the workers too, and one that has hardly begun ends by it: no failure.
  else await started.catch(() => undefined);
  const reason = await Promise.race([toEnd, supervisor.failed]);
  if (reason instanceof Error) log.fatal({ reason: reason.message }, "shutting down after a failure");
  else log.info({ signal: reason }, "draining");
  const isClean = await lifecycle.stop(config.drainTimeoutMs + 2 * graceMs);
  if (reason instanceof Error) throw reason;
  if (isClean) log.info({ workers: config.workers }, "drained");
  else log.warn({ workers: config.workers }, "drain exceeded its deadline");
  return isClean ? exitCodes.fine : exitCodes.failed;
}

function createSupervisor(
  host: Host,
  config: Config,
  { folder, log, lifecycle }: { folder: string; log: Logger; lifecycle: Lifecycle },
): Supervisor {
  const metrics = createPrimaryMetrics(`${config.nodeId}-primary`, () => supervisor.running);
  logStrayErrors(host, { log, metrics });
  const deps: SupervisorDeps = {
    assignmentOf: (worker) => ({
      worker,
      count: config.workers,
      folder,
      config: { ...config, nodeId: `${config.nodeId}-${worker}` },
    }),
    metrics: () => metrics.registry.metrics(),
    onCrash: () => metrics.workersLost.inc(),
    clock,
    log,
  };
  const supervisor = new Supervisor(deps, { count: config.workers, drainTimeoutMs: config.drainTimeoutMs });
  lifecycle.add({ name: "workers", start: () => supervisor.start(), stop: () => supervisor.stop() });
  const registry = { contentType: metrics.registry.contentType, metrics: () => supervisor.metrics() };
  if (config.metrics !== undefined) lifecycle.add(createMetricsServer({ registry, clock, log }, config.metrics));
  return supervisor;
}

function announce(host: Host, config: Config, { description }: LocatedStore, log: Logger): void {
  const url = urlOf(config.host, config.port);
  log.info({ url, store: description, workers: config.workers }, "started");
  if (!config.isProduction) host.print(banner(config, { url, store: description }, host.isTerminal));
}
