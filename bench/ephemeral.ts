/**
 * CPU of Redis' main thread per publication that one node receives: logged (one script) and ephemeral (a bare SPUBLISH). Both take turns in each
 * round, and medians count.
 *
 *   node bench/ephemeral.ts [publications a slice] [rounds]      writes bench/results/ephemeral.md
 */
import { writeFile } from "node:fs/promises";
import { createChannelLog } from "../src/channels/channel-log.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";

const publications = Number(process.argv[2] ?? 20_000);
const rounds = Number(process.argv[3] ?? 9);
const channelCount = 100;
/** 128 bytes of JSON, as in the other benchmarks. */
const data = JSON.stringify({ text: "x".repeat(115) });
const history = { size: 100, ttlSeconds: 300 };

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);
const keys = createKeys("bench");
const log = createChannelLog({ commands, keys, isCluster: false });
// One node is subscribed to every channel.
for (let n = 0; n < channelCount; n++) await redis.connection("subscriber").ssubscribe(keys.channelFeed(`chat:${n}`));

const request = (n: number) => ({
  channel: `chat:${n % channelCount}`,
  event: "said",
  data,
  from: { userId: "alice", connectionId: "5xUX0QnUqxKRuMElAAAB" },
});

try {
  const report = toReport(await measure());
  console.log(report);
  await writeFile(new URL("./results/ephemeral.md", import.meta.url), `${report}\n`);
} finally {
  await redis.close();
  await server.stop();
}

async function measure() {
  const logged: number[] = [];
  const ephemeral: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const first = await costOf((n) => log.publish(request(n), history));
    const second = await costOf((n) => log.publishEphemeral(request(n), Date.now()));
    // The first round warms up.
    if (round === 0) continue;
    logged.push(first);
    ephemeral.push(second);
  }
  return { logged: median(logged), ephemeral: median(ephemeral) };
}

/** Microseconds of Redis' main thread per publication, without those of an idle server. */
async function costOf(publish: (n: number) => Promise<unknown>): Promise<number> {
  const before = await cpuOf();
  for (let start = 0; start < publications; start += 500)
    await Promise.all(Array.from({ length: 500 }, (_, n) => publish(start + n)));
  return ((await cpuOf()) - before) / publications;
}

/** Microseconds. */
async function cpuOf(): Promise<number> {
  const info = await commands.info("cpu");
  const field = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return (field("used_cpu_sys_main_thread") + field("used_cpu_user_main_thread")) * 1_000_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

function toReport({ logged, ephemeral }: Awaited<ReturnType<typeof measure>>): string {
  return [
    `\`node bench/ephemeral.ts ${publications} ${rounds}\`: CPU of Redis' main thread per publication`,
    "",
    "|                                | µs   | ratio |",
    "| ------------------------------ | ---- | ----- |",
    `| logged                         | ${logged.toFixed(1)} | 1.00  |`,
    `| ephemeral                      | ${ephemeral.toFixed(1)} | ${(ephemeral / logged).toFixed(2)}  |`,
  ].join("\n");
}
