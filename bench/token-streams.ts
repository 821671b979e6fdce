/**
 * Token streams: what `"merge": "append"` costs a publication, and what a late comer of a stream costs, beside plain
 * publications. All of it takes turns in each round, and medians count.
 *
 *   node bench/token-streams.ts [tokens of a stream] [rounds]      writes bench/results/token-streams.md
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { createChannelLog } from "../src/channels/channel-log.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { measure, type Cost, type Row } from "./support/redis-cost.ts";

const tokens = Number(process.argv[2] ?? 1_000);
const rounds = Number(process.argv[3] ?? 9);
const token = " token";

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);
const log = createChannelLog({ commands, keys: createKeys("bench"), isCluster: false });
// The whole stream has to fit into the history of plain publications.
const plain = { size: 2 * tokens, ttlSeconds: 300 };
const appending = { ...plain, isJoined: true } as const;
let streams = 0;

const publish = (channel: string, history: typeof plain, data = token) =>
  log.publish({ channel, event: "token", data: JSON.stringify(data) }, history);

/** A stream of its own per round, one token after the other in batches of 50. */
async function stream(history: typeof plain, count: number): Promise<void> {
  streams += 1;
  for (let sent = 0; sent < count; sent += 50)
    await Promise.all(Array.from({ length: 50 }, () => publish(`answer:s${streams}`, history)));
}

const inTurn = async (count: number, one: () => Promise<unknown>) => {
  for (let n = 0; n < count; n += 1) await one();
};
const readLog = () => log.read("answer:plain", plain, { kind: "latest", limit: tokens });
const readJoined = () => log.readJoined("answer:joined");

const rows: Row[] = [
  { name: "a token, plain", count: tokens, run: (count) => stream(plain, count) },
  { name: "a token, append", count: tokens, run: (count) => stream(appending, count) },
  { name: "a late comer, history of a plain stream", count: 20, run: (count) => inTurn(count, readLog) },
  { name: "a late comer, joined text", count: 20, run: (count) => inTurn(count, readJoined) },
];

try {
  for (let n = 0; n < tokens; n += 1) {
    await publish("answer:plain", plain);
    await publish("answer:joined", appending);
  }
  const bytes = [JSON.stringify(toPublications(await readLog())), JSON.stringify((await readJoined()).value)];
  const report = toReport(
    await measure(commands, rounds, rows),
    bytes.map((text) => Buffer.byteLength(text)),
  );
  console.log(report);
  await writeFile(new URL("./results/token-streams.md", import.meta.url), `${report}\n`);
} finally {
  await redis.close();
  await server.stop();
}

function toPublications({ entries }: Awaited<ReturnType<typeof readLog>>): unknown[] {
  return entries.map(({ json }) => JSON.parse(json) as unknown);
}

function toReport(costs: ReadonlyMap<string, Cost>, [history = 0, joined = 0]: number[]): string {
  const row = (name: string, against: string): string => {
    const [{ redisUs, nodeUs }, base] = [costs.get(name) as Cost, costs.get(against) as Cost];
    const ratios = `${(redisUs / base.redisUs).toFixed(2)} | ${(nodeUs / base.nodeUs).toFixed(2)}`;
    return `| ${name} | ${redisUs.toFixed(1)} | ${nodeUs.toFixed(1)} | ${ratios} |`;
  };
  return [
    "# Token streams",
    "",
    `\`node bench/token-streams.ts ${tokens} ${rounds}\`: microseconds of CPU of Redis' main thread and of the node, of streams of ` +
      `${tokens} tokens; ${cpus()[0]?.model.trim() ?? "?"} × ${cpus().length}, Node ${process.versions.node}, all on one machine.`,
    `The answer to a late comer has ${history.toLocaleString("en")} bytes as history and ${joined.toLocaleString("en")} as joined text.`,
    "",
    "| | Redis, µs | node, µs | ratio, Redis | ratio, node |",
    "| --- | --- | --- | --- | --- |",
    row("a token, plain", "a token, plain"),
    row("a token, append", "a token, plain"),
    row("a late comer, history of a plain stream", "a late comer, history of a plain stream"),
    row("a late comer, joined text", "a late comer, history of a plain stream"),
  ].join("\n");
}
