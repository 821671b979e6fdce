import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";
import type { Service } from "./lifecycle.ts";

/**
 * Milliseconds between two samples; the lateness of a sample is the delay. Each sample wakes the process: these twenty a
 * second are a fifth of an idle node's work.
 */
const resolutionMs = 50;

const percentiles = [50, 99, 100] as const;

/**
 * `gateway_event_loop_delay_seconds{percentile}`: how long ready work waited, since the last scrape. The metric of
 * prom-client counts the time between two samples as delay, so an idle process seems 10 ms late.
 */
export function createEventLoopDelay({ registry }: { registry: Registry }): Service {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  const delay = new Gauge({
    name: "gateway_event_loop_delay_seconds",
    help: "Event loop delay since the last scrape.",
    labelNames: ["percentile"],
    registers: [],
    collect() {
      for (const percentile of percentiles) {
        this.set({ percentile: `${percentile}` }, beyondResolution(histogram.percentile(percentile)));
      }
      histogram.reset();
    },
  });
  registry.registerMetric(delay);
  return {
    name: "event loop delay",
    start: () => void histogram.enable(),
    stop: () => void histogram.disable(),
  };
}

function beyondResolution(nanoseconds: number): number {
  return Math.max(nanoseconds / 1e9 - resolutionMs / 1e3, 0);
}
