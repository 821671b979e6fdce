/**
 * What the load tests must show, of a cluster of three Tidegate nodes and of three plain Socket.IO servers with Redis
 * adapter beside it: nothing lost while every client is cut each 15 seconds and a server is killed; as many messages
 * read from Redis as are wanted; what 10,000 connections to one node cost. `node bench/loadtest.ts [clients]
 * [connections]`
 */
import { needs } from "../scripts/needs.ts";
import { shareOf } from "../src/loadtest/report/summary.ts";
import type { Report } from "../src/loadtest/report/report.ts";
import { runLoadtest, startServers, type ServerGroup } from "./support/server-group.ts";
import { machine, skip } from "./support/machine.ts";
import { writeResult } from "./support/results.ts";

const clients = Number(process.argv[2] ?? 2_000);
const connections = Number(process.argv[3] ?? 10_000);

/** No thresholds: the results are recorded, whatever they are. */
const nothing = { lost: 1e9, repeated: 1e9, reordered: 1e9, duplicated: 1e9, neverSubscribed: 1e9 };

const jitterAndKill = {
  name: "jitter-and-kill",
  readers: { count: clients, connectPerSecond: 200, clients: { lean: 90, stock: 5, tidegate: 5 } },
  channels: { count: 100 },
  load: { type: "publications", perSecond: 50 },
  durationSeconds: 60,
  settleSeconds: 20,
  faults: [
    { do: "cut", everySeconds: 15, spreadSeconds: 15 },
    { do: "kill", atSeconds: 25 },
  ],
  thresholds: nothing,
};

const channels = {
  name: "many-channels",
  readers: { count: 1_500, connectPerSecond: 200 },
  channels: { count: 1_000, perReader: 2 },
  load: { type: "publications", perSecond: 200 },
  durationSeconds: 20,
  thresholds: nothing,
};

const load = {
  name: "load",
  readers: { count: connections, connectPerSecond: 250 },
  load: { type: "publications", perSecond: 0.5, arrivals: "steady" },
  durationSeconds: 20,
  settleSeconds: 20,
  thresholds: nothing,
};

if (needs.redis.isInstalled()) writeResult("loadtest", await run());
else skip("the load test", "there is no redis-server");

async function run(): Promise<string> {
  const jitter = await onBoth(3, (group) => runLoadtest(group, jitterAndKill, ["--kill-pid", `${group.pids[0]}`]));
  const many = await onBoth(3, (group) => runLoadtest(group, channels));
  const loads = await onBoth(1, (group) => runLoadtest(group, load));
  return [
    "# Load tests",
    "",
    `${machine().replace(/, servers.*|, no cores.*/, "")}, shared by generator, servers and Redis. Latencies are those of so`,
    "crowded a machine; what was lost, repeated or out of order is not a matter of speed.",
    "",
    `## ${clients} clients on three servers, each cut every 15 s, and one server killed`,
    "",
    `${jitterAndKill.channels.count} channels, ${jitterAndKill.load.perSecond} publications a second for ${jitterAndKill.durationSeconds} s; \`kill -9\` of one server after 25 s.`,
    "Nine in ten clients are the load generator's own, the others Socket.IO's unmodified one and, on Tidegate, the project's.",
    "",
    table(
      [
        "",
        "delivered",
        "lost",
        "reported",
        "repeated",
        "out of order",
        "cuts",
        "returns",
        "back, p50",
        "p99",
        "live p50",
        "p99",
      ],
      jitter.map(([group, report]) => [group.name, ...jitterRow(report)]),
    ),
    "",
    "## 1,000 channels on three servers",
    "",
    `${channels.readers.count} clients with two channels each, ${channels.load.perSecond} publications a second. A server wants a publication once if it has clients`,
    "in its channel. What a plain server reads cannot be asked of it: the Redis adapter sends every publication to every server.",
    "",
    table(
      ["", "delivered", "read from Redis", "needed", "read ÷ needed", "live p50", "p99", "CPU of the servers, cores"],
      many.map(([group, report]) => [group.name, ...manyRow(report)]),
    ),
    "",
    `## ${connections} connections to one server`,
    "",
    "On Tidegate each is authenticated, has a session, and is subscribed to a channel with history; on the plain server it",
    "has joined a room. Then a publication to all of them every two seconds.",
    "",
    table(
      ["", "reading", "KiB a connection", "CPU of connecting, µs each", "delivered", "live p50", "p99", "max"],
      loads.map(([group, report]) => [group.name, ...connectionsRow(report)]),
    ),
  ].join("\n");
}

/** Runs both targets one after the other, each on its own servers and Redis. */
async function onBoth(
  servers: number,
  test: (group: ServerGroup) => Promise<Report>,
): Promise<[ServerGroup, Report][]> {
  const done: [ServerGroup, Report][] = [];
  for (const target of ["gateway", "plain"] as const) {
    const group = await startServers(target, servers);
    try {
      done.push([group, await test(group)]);
    } finally {
      await group.stop();
    }
  }
  return done;
}

function jitterRow({ verdict, connections: { cut, reconnect }, latency }: Report): string[] {
  const { lost, reported, repeated, reordered } = verdict;
  const counts = [lost, reported, repeated, reordered, cut, reconnect.count].map(String);
  return [shareOf(verdict), ...counts, ...[reconnect.p50, reconnect.p99, latency.live.p50, latency.live.p99].map(ms)];
}

function manyRow({ verdict, feed, latency, nodes }: Report): string[] {
  const counts = feed === undefined ? ["–", "–", "–"] : [`${feed.read}`, `${feed.needed}`, feed.ratio.toFixed(3)];
  const cpu = nodes.filter(({ name }) => name.startsWith("pid")).reduce((sum, { cpuMean }) => sum + cpuMean, 0);
  return [shareOf(verdict), ...counts, ms(latency.live.p50), ms(latency.live.p99), cpu.toFixed(2)];
}

function connectionsRow({ verdict, connections: { reading }, latency, nodeSamples, timeline }: Report): string[] {
  const samples = nodeSamples.find(({ name }) => name.startsWith("pid"))?.samples ?? [];
  const loadAt = (timeline.find(({ phase }) => phase === "load")?.at ?? 0) * 1_000;
  // From the end of creating sessions, which only the gateway does.
  const rampAt = (timeline[0]?.at ?? 0) * 1_000;
  const [first, then] = [rampAt, loadAt].map((moment) => samples.findLast(({ at }) => at <= moment));
  const bytes = ((then?.memoryBytes ?? 0) - (first?.memoryBytes ?? 0)) / reading;
  const micros = (((then?.cpuSeconds ?? 0) - (first?.cpuSeconds ?? 0)) * 1e6) / reading;
  const { p50, p99, max } = latency.live;
  return [`${reading}`, (bytes / 1_024).toFixed(1), micros.toFixed(0), shareOf(verdict), ...[p50, p99, max].map(ms)];
}

function ms(value: number): string {
  return `${value < 100 ? value.toFixed(1) : Math.round(value)} ms`;
}

function table(heads: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}
