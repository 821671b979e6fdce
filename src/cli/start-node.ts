import type { Config } from "../config.ts";
import { warningsOf } from "../config/warnings.ts";
import type { GatewayNode } from "../gateway.ts";
import { createLogger, type Logger } from "../runtime/logger.ts";
import { banner } from "./banner.ts";
import { createConfiguredNode } from "./create-node.ts";
import { exitCodes, type Host } from "./host.ts";
import { onRequestToEnd } from "./signals.ts";
import { logLibraryOutput } from "./library-output.ts";
import { startTelemetry } from "./telemetry.ts";
import { logStrayErrors } from "./uncaught-errors.ts";

/** Runs one node until it is asked to stop. Resolves with the exit code. */
export async function startNode(host: Host, config: Config): Promise<number> {
  const log = createLogger({ level: config.logLevel, base: { node: config.nodeId } });
  logLibraryOutput(log);
  const stopTelemetry = await startTelemetry(host.env);
  const gateway = await createConfiguredNode(config, { log });
  logStrayErrors(host, { log, metrics: gateway.metrics });
  for (const warning of warningsOf(config, host.env)) log.warn({}, warning);
  const drained = drainOnSignal(host, gateway, log);
  await gateway.start();
  log.info({ url: gateway.url, store: gateway.store }, "started");
  if (!config.isProduction) host.print(banner(config, gateway, host.isTerminal));
  const isClean = await drained;
  await stopTelemetry();
  return isClean ? exitCodes.fine : exitCodes.failed;
}

/**
 * Resolves when the node has drained after the first signal, with false if it exceeded the deadline. A second signal
 * exits at once.
 */
function drainOnSignal(host: Host, gateway: GatewayNode, log: Logger): Promise<boolean> {
  return new Promise((resolve, reject) => {
    void gateway.drainRequested.then(() => {
      log.info({}, "draining because an operator asked for it");
      gateway.drain().then(resolve, reject);
    });
    onRequestToEnd(host, (signal) => {
      log.info({ signal }, "draining");
      gateway.drain().then(resolve, reject);
    });
  });
}
