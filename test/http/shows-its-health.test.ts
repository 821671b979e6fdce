import { describe, expect, it, onTestFinished } from "vitest";
import { sleep, systemClock } from "../../src/runtime/clock.ts";
import { createEventLoopDelay } from "../../src/runtime/event-loop-delay.ts";
import { createMetricsServer } from "../../src/http/metrics-server.ts";
import { createReadiness, type Check } from "../../src/http/readiness.ts";
import { createPrimaryMetrics } from "../../src/workers/primary-metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { eventually, quietLog, testMetrics } from "../support/world.ts";
import { publishBody, startHttp } from "./support.ts";

const readinessOf = (checks: Record<string, Check>, clock = new FakeClock()) => createReadiness({ checks, clock });

describe("/healthz", () => {
  it("says the process lives, whatever its store does", async () => {
    const { call } = await startHttp({ readiness: readinessOf({ redis: () => ({ status: "failing" }) }) });

    const answer = await call("/healthz", { headers: { authorization: "" } });

    expect([answer.status, answer.json]).toEqual([200, { status: "ok" }]);
  });
});

describe("/readyz", () => {
  it("is 200 while every check passes, also degraded, which it says", async () => {
    const redis: Check = () => ({ status: "degraded", note: "maxmemory-policy evicts" });
    const { call } = await startHttp({ readiness: readinessOf({ redis, draining: () => ({ status: "ok" }) }) });

    const answer = await call("/readyz", { headers: { authorization: "" } });

    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({
      status: "degraded",
      checks: { redis: { status: "degraded", note: "maxmemory-policy evicts" }, draining: { status: "ok" } },
    });
  });

  it("is 503 where one check fails, and tells nothing of how", async () => {
    const redis: Check = () => Promise.reject(new Error("connect ECONNREFUSED 10.1.2.3:6379"));
    const { call } = await startHttp({ readiness: readinessOf({ redis, draining: () => ({ status: "ok" }) }) });

    const answer = await call("/readyz");

    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("1");
    expect(answer.json).toEqual({
      status: "unavailable",
      checks: { redis: { status: "failing" }, draining: { status: "ok" } },
    });
  });

  it("does not wait for a check that hangs, and asks it once however many ask", async () => {
    const clock = new FakeClock();
    let asked = 0;
    const redis: Check = () => ((asked += 1), new Promise(() => undefined));
    const readiness = readinessOf({ redis }, clock);

    const reports = Promise.all([readiness(), readiness(), readiness()]);
    await clock.advance(1_000);

    const failing = { status: "unavailable", checks: { redis: { status: "failing", note: "no answer in time" } } };
    expect(await reports).toEqual([failing, failing, failing]);
    expect(asked).toBe(1);
  });

  it("asks again for the next report", async () => {
    let status: "ok" | "failing" = "failing";
    const readiness = readinessOf({ redis: () => ({ status }) });

    expect((await readiness()).status).toBe("unavailable");
    status = "ok";
    expect((await readiness()).status).toBe("ready");
  });
});

describe("/metrics", () => {
  it("have one address, so that whoever blocks it has blocked it", async () => {
    const { call } = await startHttp();

    expect((await call("/metrics")).status).toBe(200);
    for (const path of ["/metrics/", "//metrics", "/METRICS", "/%6detrics", "/metrics%2f", "/metrics;x"]) {
      expect([path, (await call(path)).status]).toEqual([path, 404]);
    }
  });

  it("counts requests by the template of their path, never by the path", async () => {
    const { call } = await startHttp();

    await call("/v1/publish", { body: publishBody });
    await call("/v1/channels/chat:secret-room/history");
    for (let index = 0; index < 20; index += 1) await call(`/nothing/${index}`);
    await call("/v1/nothing");
    const { text, headers } = await call("/metrics");

    expect(headers.get("content-type")).toMatch(/^text\/plain/);
    const routes = new Set(
      [...text.matchAll(/gateway_http_requests_total\{route="([^"]+)"/g)].map(([, route]) => route),
    );
    expect(routes).toEqual(new Set(["/v1/channels/{channel}/history", "/v1/publish", "unmatched"]));
    expect(text).toContain('gateway_http_requests_total{route="unmatched",status="404",node_id="test"} 21');
    expect(text).not.toContain("secret-room");
  });

  it("are not on the public port where they have one of their own", async () => {
    const { call, metrics } = await startHttp({}, { hasMetrics: false });
    const server = createMetricsServer(
      { registry: metrics.registry, clock: systemClock, log: quietLog },
      { host: "127.0.0.1", port: 0 },
    );
    await server.start();
    onTestFinished(() => server.stop(AbortSignal.abort()));
    const own = `http://127.0.0.1:${server.port}`;

    expect((await call("/metrics")).status).toBe(404);
    expect(await (await fetch(`${own}/metrics`)).text()).toContain("gateway_connections");
    expect((await fetch(`${own}/v1/channels`)).status).toBe(404);
    const posted = await fetch(`${own}/metrics`, { method: "POST" });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("have nothing that measures the lag of what only keeps several nodes up", async () => {
    const text = await createPrimaryMetrics("test", () => 1).registry.metrics();

    expect(text).toContain("nodejs_gc_duration_seconds");
    expect(text).not.toContain("eventloop_lag");
  });

  it("tell how long ready work waits, near nothing where nothing blocks", async () => {
    const { registry } = testMetrics();
    const delay = createEventLoopDelay({ registry });
    await delay.start?.();
    onTestFinished(() => delay.stop?.(AbortSignal.abort()));
    const values = async () => {
      const text = await registry.metrics();
      const valueOf = (pattern: RegExp) => Number(pattern.exec(text)?.[1]);
      return {
        longest: valueOf(/event_loop_delay_seconds\{percentile="100".*\} (\S+)/),
        stock: valueOf(/^nodejs_eventloop_lag_max_seconds\S* (\S+)/m),
        mean: valueOf(/^nodejs_eventloop_lag_mean_seconds\S* (\S+)/m),
      };
    };

    // On a busy machine the process itself may wait for a core, now and then.
    await eventually(async () => {
      await sleep(systemClock, 100);
      const { longest, stock, mean } = await values();
      expect(longest).toBeLessThan(0.05);
      expect(stock).toBe(longest);
      expect(mean).toBeLessThan(0.01);
    });
    delay.takeRecent();
    await sleep(systemClock, 100);
    const until = performance.now() + 200;
    while (performance.now() < until);
    await sleep(systemClock, 100);

    const { longest, stock } = await values();
    expect(longest).toBeGreaterThan(0.15);
    expect(stock).toBe(longest);
    expect(delay.takeRecent()).toBeGreaterThan(150);
    expect(delay.takeRecent()).toBe(0);
  });
});
