import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { needs } from "../../scripts/needs.ts";
import { readStreamBacklog } from "../../src/commands/stream-backlog.ts";
import { createEventLoopDelay } from "../../src/runtime/event-loop-delay.ts";
import { createPrimaryMetrics } from "../../src/workers/primary-metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { metricOf } from "../support/flooder.ts";
import { startGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually, redisWorld, testMetrics } from "../support/world.ts";

const read = (path: string): string => readFileSync(join(repository, path), "utf8");
const hasPromtool = needs.promtool.isInstalled();
if (!hasPromtool) console.error("PROMTOOL IS MISSING: Prometheus' own checks of metrics and rules are skipped.");

/** Names of the samples that nodes and primary processes have. */
function catalogue(): Set<string> {
  const { registry } = testMetrics();
  createEventLoopDelay({ registry });
  const all = [registry, createPrimaryMetrics("test", () => 1).registry].flatMap((one) => one.getMetricsAsArray());
  const names = all.flatMap(({ name }) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]);
  return new Set(names);
}

/** What a PromQL expression names: words that are no functions, labels or keywords. */
function metricsIn(expression: string): string[] {
  const bare = expression.replaceAll(/\{[^}]*\}/g, "").replaceAll(/\bby \([^)]*\)/g, "");
  return [...bare.matchAll(/\b((?:gateway|process|nodejs)_\w+)/g)].map(([, name = ""]) => name);
}

interface Dashboard {
  panels: { type: string; title: string; description?: string; targets?: { expr: string }[] }[];
  templating: { list: { definition: string }[] };
}

describe("the Grafana dashboard", () => {
  const { panels, templating } = JSON.parse(read("deploy/grafana/tidegate.json")) as Dashboard;
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  test("uses only metrics that exist", () => {
    const used = [...expressions, ...templating.list.map(({ definition }) => definition)].flatMap(metricsIn);
    const known = catalogue();

    expect(used.length).toBeGreaterThan(20);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  test("explains every plot, and selects by the job and the node in each", () => {
    const plots = panels.filter(({ type }) => type !== "row");

    expect(plots.filter(({ description }) => (description ?? "") === "").map(({ title }) => title)).toEqual([]);
    expect(expressions.filter((text) => !text.includes('job=~"$job",node_id=~"$node"'))).toEqual([]);
  });
});

describe("the alerting rules", () => {
  const rules = read("deploy/prometheus/alerts.yml").split("- alert: ").slice(1);

  test("use only metrics that exist", () => {
    const used = rules.flatMap((rule) => metricsIn(/expr: (.*)/.exec(rule)?.[1] ?? ""));
    const known = catalogue();

    expect(used.length).toBeGreaterThan(10);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  });

  test("lead each to a section of docs/failures.md that says what to do", () => {
    const sections = new Set([...read("docs/failures.md").matchAll(/^### (\w+)$/gm)].map(([, name = ""]) => name));

    for (const rule of rules) {
      const [name = ""] = rule.split("\n");
      expect(sections).toContain(name);
      expect(rule).toContain(`runbook_url: docs/failures.md#${name.toLowerCase()}`);
      expect(rule).toMatch(/severity: (critical|warning)/);
    }
  });

  test.skipIf(!hasPromtool)("are accepted by promtool", () => {
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", "deploy/prometheus/alerts.yml"], {
      cwd: repository,
      encoding: "utf8",
    });

    expect(`${stdout}${stderr}`).toContain(`${rules.length} rules found`);
    expect(status).toBe(0);
  });
});

test("a node's metrics have standard names, a build, and no fault that promtool finds", async () => {
  const { url } = await startGateway();

  const text = await (await fetch(`${url}/metrics`)).text();

  for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "nodejs_heap_size_used_bytes"])
    expect(text).toMatch(new RegExp(`^${name}\\{node_id="`, "m"));
  expect(text).toMatch(
    /^gateway_build_info\{version="\d+\.\d+\.\d+",nodejs_version="\d+\.[\d.]+",node_id="[^"]+"\} 1$/m,
  );
  expect(text).not.toMatch(/[{,]node="/);
  if (!hasPromtool) return;
  const { status, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});

test("delivery latency has one sample for a publication, however many subscribers it has", async () => {
  const { url, call, signIn, connect } = await startGateway({ file: { channels: { chat: { subscribe: "public" } } } });
  const clients = await Promise.all(["ada", "bob", "cleo"].map(async (user) => connect((await signIn(user)).token)));
  for (const client of clients) await client.emitWithAck("subscribe", { channel: "chat:1" });

  for (let i = 0; i < 2; i++) await call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: i });

  const samples = () => metricOf(url, "gateway_delivery_latency_seconds_count");
  await eventually(async () => expect(await metricOf(url, "gateway_deliveries_total")).toBe(6));
  await eventually(async () => expect(await samples()).toBe(2));
  expect(await metricOf(url, "gateway_delivery_latency_seconds_sum")).toBeLessThan(60);
});

test("events are measured by class; bytes, subscriptions and scheduled publications are counted", async () => {
  const { url, call, signIn, connect } = await startGateway({ file: { channels: { chat: { subscribe: "public" } } } });
  const client = await connect((await signIn("ada")).token);
  const before = await metricOf(url, "gateway_sent_bytes_total");

  await client.emitWithAck("subscribe", { channel: "chat:1" });
  await client.emitWithAck("nothing", "x".repeat(1_000));
  await call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: "y".repeat(2_000) });
  await call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: 1, delayMs: 60_000 });

  const events = (eventClass: string) => metricOf(url, "gateway_event_seconds_count", { class: eventClass });
  expect([await events("built_in"), await events("unknown"), await events("app")]).toEqual([1, 1, 0]);
  expect(await metricOf(url, "gateway_received_bytes_total")).toBeGreaterThan(1_000);
  await eventually(async () => expect(await metricOf(url, "gateway_sent_bytes_total")).toBeGreaterThan(before + 2_000));
  expect(await metricOf(url, "gateway_subscriptions")).toBe(2);
  // A scrape does not wait for a Redis that takes longer than a second.
  await eventually(async () => expect(await metricOf(url, "gateway_scheduled")).toBe(1));
  client.disconnect();
  await eventually(async () => expect(await metricOf(url, "gateway_subscriptions")).toBe(0));
});

test("commands that could not be performed are counted as dead letters", async () => {
  const { url, prefix } = await startGateway();
  const { redis } = await redisWorld();
  expect(await metricOf(url, "gateway_dead_letters")).toBe(0);

  await redis.connection("commands").xadd(`${prefix}:commands`, "*", "command", "no JSON");

  const letters = (of: string) => metricOf(url, "gateway_dead_letters", { of });
  await eventually(async () => expect([await letters("commands"), await letters("webhooks")]).toEqual([1, 0]));
  await eventually(async () => expect(await metricOf(url, "gateway_commands_waiting")).toBe(0));
  expect(await metricOf(url, "gateway_commands_lag_seconds")).toBe(0);
});

describe("the backlog of commands", () => {
  test("is empty before the first command", async () => {
    const { redis, keys } = await redisWorld();

    const backlog = await readStreamBacklog({ commands: redis.connection("commands"), keys, clock: new FakeClock() });

    expect(backlog).toEqual({ undelivered: 0, pending: [], oldestAt: undefined, lagMs: 0 });
  });

  test("counts what is in progress and what was not read yet, and has the age of the oldest", async () => {
    const { redis, keys } = await redisWorld();
    const commands = redis.connection("commands");
    const clock = new FakeClock();
    const backlog = () => readStreamBacklog({ commands, keys, clock });
    const idOf = (age: number) => `${clock.now() - age}-0`;
    for (const age of [9_000, 6_000, 3_000]) await commands.xadd(keys.commands(), idOf(age), "command", "{}");
    expect(await backlog()).toMatchObject({ undelivered: 3, pending: [], lagMs: 9_000 });

    await commands.xgroup("CREATE", keys.commands(), "gateway", "0");
    await commands.xreadgroup("GROUP", "gateway", "n1", "COUNT", 1, "STREAMS", keys.commands(), ">");

    const pending = [{ consumer: "n1", count: 1 }];
    expect(await backlog()).toEqual({ undelivered: 2, pending, oldestAt: clock.now() - 9_000, lagMs: 9_000 });
    await commands.xack(keys.commands(), "gateway", idOf(9_000));
    expect(await backlog()).toMatchObject({ undelivered: 2, pending: [], lagMs: 6_000 });
  });
});
