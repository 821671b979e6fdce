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
  const { requested, drained } = drainOnSignal(host, gateway, log);
  const started = gateway.start();
  if ((await Promise.race([started, requested])) !== "requested") announce(host, { config, gateway, log });
  // It was stopped before everything had started: no failure.
  else await started.catch(() => undefined);
  const isClean = await drained;
  await stopTelemetry();
  return isClean ? exitCodes.fine : exitCodes.failed;
}

function announce(host: Host, { config, gateway, log }: { config: Config; gateway: GatewayNode; log: Logger }): void {
  log.info({ url: gateway.url, store: gateway.store }, "started");
  if (!config.isProduction) host.print(banner(config, gateway, host.isTerminal));
}

/**
 * Drains the node after the first signal; a second one exits at once. `drained` resolves with false if the drain exceeded
 * its deadline.
 */
function drainOnSignal(host: Host, gateway: GatewayNode, log: Logger) {
  const { promise: requested, resolve: request } = Promise.withResolvers<"requested">();
  const drained = new Promise<boolean>((resolve, reject) => {
    let isRequested = false;
    const drain = (fields: object, message: string): void => {
      if (isRequested) return;
      isRequested = true;
      log.info(fields, message);
      gateway.drain().then(resolve, reject);
      request("requested");
    };
    void gateway.drainRequested.then(() => drain({}, "draining because an operator or the app asked for it"));
    onRequestToEnd(host, (signal) => drain({ signal }, "draining"));
  });
  return { requested, drained };
}
