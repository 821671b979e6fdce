import { expect, test } from "vitest";
import { NodeReporter } from "../../src/operator/node-report.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";

test("a node says that it is fenced, drains or is degraded, and how far its clock is from Redis'", async () => {
  const clock = new FakeClock();
  let isDraining = false;
  let cluster: { status: "ok" | "failing"; note?: string } = { status: "failing", note: "no heartbeat was confirmed" };
  const reporter = new NodeReporter({
    nodeId: "n1",
    version: "1.0.0",
    metrics: createMetrics({ nodeId: "n1" }),
    connections: { count: 0, all: () => [] },
    readiness: async () => {
      const status = cluster.status === "ok" ? "degraded" : "unavailable";
      return { status, checks: { store: { status: "degraded", note: "no append-only file" }, cluster } };
    },
    isDraining: () => isDraining,
    recentLoopDelay: () => 0,
    leaseAgeMs: () => 3_000,
    clock,
    ownClock: { now: () => clock.now() + 250 },
  });

  expect(await reporter.report()).toMatchObject({
    state: "fenced",
    reason: "store: no append-only file; cluster: no heartbeat was confirmed",
    clockOffsetMs: 250,
  });
  cluster = { status: "ok" };
  expect(await reporter.report()).toMatchObject({ state: "degraded", reason: "store: no append-only file" });
  isDraining = true;
  expect(await reporter.report()).toMatchObject({ state: "draining" });
});
