import { createHistogram } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";
import { systemClock } from "./clock.ts";
import type { Service } from "./lifecycle.ts";

/**
 * Milliseconds between two samples; the lateness of a sample is the delay. Each sample wakes the process: these twenty a
 * second are a fifth of an idle node's work.
 */
const resolutionMs = 50;

const percentiles = [50, 99, 100] as const;

/** Statistics of `nodejs_eventloop_lag_<name>_seconds`, which stock dashboards show. */
const lags = {
  min: (delays: Delays) => delays.min,
  max: (delays: Delays) => delays.max,
  mean: (delays: Delays) => delays.mean,
  stddev: (delays: Delays) => delays.stddev,
  p50: (delays: Delays) => delays.percentile(50),
  p90: (delays: Delays) => delays.percentile(90),
  p99: (delays: Delays) => delays.percentile(99),
};

/** In nanoseconds. */
type Delays = ReturnType<typeof createHistogram>;

export interface EventLoopDelay extends Service {
  /** Milliseconds within which 99 % of ready work ran, since the last call. */
  takeRecent(): number;
}

/**
 * How long ready work waited, since the last scrape: `gateway_event_loop_delay_seconds{percentile}`, and the same under the
 * names of prom-client. What that measures itself is the time between two samples, so an idle process seems 10 ms late.
 */
export function createEventLoopDelay({ registry }: { registry: Registry }): EventLoopDelay {
  const scraped = createHistogram();
  const recent = createHistogram();
  let last = 0;
  let lag = 0;
  let stop = (): void => undefined;

  function sample(): void {
    const now = performance.now();
    lag = Math.max(now - last - resolutionMs, 0) / 1e3;
    last = now;
    for (const delays of [scraped, recent]) delays.record(Math.max(Math.round(lag * 1e9), 1));
  }

  gaugesIn(registry, () => ({ delays: scraped, lag }));
  return {
    name: "event loop delay",
    takeRecent() {
      const milliseconds = secondsOf(recent, recent.percentile(99)) * 1e3;
      recent.reset();
      return Math.round(milliseconds * 10) / 10;
    },
    start() {
      last = performance.now();
      stop = systemClock.every(resolutionMs, sample);
    },
    stop: () => stop(),
  };
}

/** The first gauge reads for all, because each scrape begins anew. */
function gaugesIn(registry: Registry, read: () => { delays: Delays; lag: number }): void {
  const gauge = (name: string, help: string): Gauge => {
    const made = new Gauge({ name: `nodejs_eventloop_lag${name}_seconds`, help, registers: [] });
    registry.registerMetric(made);
    return made;
  };
  const delay = new Gauge({
    name: "gateway_event_loop_delay_seconds",
    help: "Event loop delay since the last scrape.",
    labelNames: ["percentile"],
    registers: [],
    collect() {
      const { delays, lag } = read();
      for (const percentile of percentiles)
        this.set({ percentile: `${percentile}` }, secondsOf(delays, delays.percentile(percentile)));
      now.set(lag);
      for (const { made, value } of others) made.set(secondsOf(delays, value(delays)));
      delays.reset();
    },
  });
  registry.registerMetric(delay);
  const now = gauge("", "Event loop delay, as last measured.");
  const others = Object.entries(lags).map(([name, value]) => ({
    made: gauge(`_${name}`, `Event loop delay since the last scrape: ${name}.`),
    value,
  }));
}

/** Without samples a histogram has no meaningful values. */
const secondsOf = ({ count }: Delays, nanoseconds: number): number =>
  count === 0 || nanoseconds <= 1 ? 0 : nanoseconds / 1e9;
