import { systemClock } from "../runtime/clock.ts";
import { createLogger } from "../runtime/logger.ts";
import { PrimaryLink } from "../workers/primary-link.ts";
import { createConfiguredNode } from "./create-node.ts";
import { exitCodes, type Host } from "./host.ts";
import { logLibraryOutput } from "./library-output.ts";
import { startTelemetry } from "./telemetry.ts";
import { logStrayErrors } from "./uncaught-errors.ts";

/** Runs one worker until the primary process asks it to drain. Resolves with the exit code. */
export async function startWorker(host: Host): Promise<number> {
  // Ctrl-C and service managers signal all processes of a group, some more than once; how often does not matter here.
  const asked = new Promise<unknown>((resolve) => host.onSignal(resolve));
  const place = await PrimaryLink.connect(systemClock);
  const { config } = place;
  const log = createLogger({ level: config.logLevel, base: { node: config.nodeId } });
  logLibraryOutput(log);
  const stopTelemetry = await startTelemetry(host.env);
  const gateway = await createConfiguredNode(config, { log, worker: place });
  logStrayErrors(host, { log, metrics: gateway.metrics });
  await gateway.start();
  place.ready(() => gateway.metrics.registry.metrics());
  log.info({ url: gateway.url }, "started");
  await Promise.race([place.drainRequested, asked, gateway.drainRequested]);
  log.info({}, "draining");
  const isClean = await gateway.drain();
  await stopTelemetry();
  return isClean ? exitCodes.fine : exitCodes.failed;
}
