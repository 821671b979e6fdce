import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, inject, it, onTestFinished } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { loadScript, runScript } from "../../src/redis/scripts.ts";
import { quietLog, testMetrics } from "../support/world.ts";

it("every command is timed once and every failure counted, by the role of its connection", async () => {
  const metrics = testMetrics();
  const redis = createRedisConnections({
    address: { topology: "single", url: inject("redisUrl") },
    nodeId: "test",
    log: quietLog,
    metrics,
  });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const before = await countOf(metrics, "commands");

  await Promise.all([commands.ping(), commands.echo("a"), commands.echo("b")]);
  await expect(commands.call("NOSUCH")).rejects.toThrow();
  await expect(commands.evalsha("0".repeat(40), 0)).rejects.toThrow("NOSCRIPT");
  await redis.connection("control-publisher").ping();

  expect((await countOf(metrics, "commands")) - before).toBe(3);
  expect(await countOf(metrics, "control-publisher")).toBeGreaterThan(0);
  expect((await metrics.redisErrors.get()).values).toMatchObject(
    expect.arrayContaining([expect.objectContaining({ labels: { role: "commands" }, value: 1 })]),
  );
});

it("a script that learns the run of Redis is repeated, and counts as no failure", async () => {
  const metrics = testMetrics();
  const redis = createRedisConnections({
    address: { topology: "single", url: inject("redisUrl") },
    nodeId: "test",
    log: quietLog,
    metrics,
  });
  onTestFinished(() => redis.close());
  const file = join(await mkdtemp(join(tmpdir(), "script-")), "checked.lua");
  await writeFile(file, "checkRun() return 'done'");
  const script = loadScript(redis.connection("commands"), pathToFileURL(file), [runScript]);
  await redis.ready(60_000);

  expect(await script.run(["any"], [])).toBe("done");
  expect((await metrics.redisErrors.get()).values.every(({ value }) => value === 0)).toBe(true);
});

async function countOf({ redisLatency }: ReturnType<typeof testMetrics>, role: string): Promise<number> {
  const { values } = await redisLatency.get();
  return values.find((one) => one.metricName?.endsWith("_count") && one.labels.role === role)?.value ?? 0;
}
