/**
 * From one node to another: how long a publication takes from its publisher on the first of three nodes to readers on
 * the others, and what it costs Redis and the nodes; beside stock Socket.IO with the classic and with the sharded Redis
 * adapter. Each has a Redis of its own; all take turns in each round, and medians count.
 *
 *   node bench/cross-node.ts [publications a slice] [rounds]      writes bench/results/cross-node.md
 */
import { cpus } from "node:os";
import { CrossNodeLoad, paceMs, type Case, type Figures } from "./support/cross-node-load.ts";
import { startServers } from "./support/server-group.ts";
import { median } from "./support/machine.ts";
import { table, writeResult } from "./support/results.ts";

const publications = Number(process.argv[2] ?? 4_000);
const rounds = Number(process.argv[3] ?? 5);
const nodeCount = 3;
const channelCount = 1_000;

const everywhere: Case = {
  title: "One channel, three readers on each node",
  channels: ["bench:one"],
  readers: nodes().map(() => Array.from({ length: 3 }, () => ["bench:one"])),
};

const many = Array.from({ length: channelCount }, (_, index) => `bench:${index}`);
const apart: Case = {
  title: `${channelCount.toLocaleString("en")} channels, each read on one node`,
  channels: many,
  readers: nodes().map((node) =>
    Array.from({ length: 10 }, (_, reader) => every(many, nodeCount * 10, node * 10 + reader)),
  ),
};

function nodes(): number[] {
  return Array.from({ length: nodeCount }, (_, node) => node);
}

/** One of each `step`, from `first` on. */
function every(channels: readonly string[], step: number, first: number): string[] {
  return channels.filter((_, index) => index % step === first);
}

const groups = [
  await startServers("plain", nodeCount),
  await startServers("plain", nodeCount, "sharded"),
  await startServers("gateway", nodeCount),
];
const cases = [everywhere, apart];
const results: string[] = [];
for (const one of cases) results.push(await measureCase(one));
for (const group of groups) await group.stop();
writeResult("cross-node", [heading(), ...results, remarks()].join("\n\n"));

async function measureCase(one: Case): Promise<string> {
  const loads: CrossNodeLoad[] = [];
  for (const group of groups) loads.push(await CrossNodeLoad.connect(group, one, publications));
  const figures = loads.map((): Figures[] => []);
  for (let round = -1; round < rounds; round += 1) {
    for (const [index, load] of loads.entries()) {
      const measured = { ...(await load.latency()), ...(await load.cost()) };
      // The first round is a warm-up.
      if (round >= 0) figures[index]?.push(measured);
    }
  }
  for (const load of loads) load.close();
  return `## ${one.title}\n\n${toTable(figures)}`;
}

/** Medians, and in brackets the median of the rounds' ratios to the first row. */
function toTable(figures: readonly Figures[][]): string {
  const heads = [
    "",
    "p50, ms",
    "p99, ms",
    "Redis, µs CPU",
    "nodes, µs CPU",
    "both, µs CPU",
    "messages a node reads",
    "bytes Redis sends",
  ];
  const [base = []] = figures;
  const rows = figures.map((own, index) => {
    const cell = (name: keyof Figures, digits: number): string => {
      const ratio = median(own.map((one, round) => one[name] / (base[round] as Figures)[name]));
      return `${median(own.map((one) => one[name])).toFixed(digits)} (${ratio.toFixed(2)})`;
    };
    const cells = [
      cell("p50", 2),
      cell("p99", 2),
      cell("redisUs", 1),
      cell("nodesUs", 1),
      cell("allUs", 1),
      cell("nodeMessages", 2),
      cell("bytes", 0),
    ];
    return [groups[index]?.name ?? "", ...cells];
  });
  return table(heads, rows);
}

function heading(): string {
  return [
    "# From node to node",
    "",
    `Three nodes and a Redis each; ${rounds} rounds in turns, ${publications.toLocaleString("en")} publications of 128 bytes ` +
      `a slice; ${cpus()[0]?.model.trim() ?? "?"} × ${cpus().length}, Node ${process.versions.node}, no cores given to anybody. ` +
      `Latency is from \`emit\` by a client of the first node to a client of another, at ${1_000 / paceMs} a second at most; costs ` +
      "and traffic are per publication, with 64 under way. In brackets: beside the first line.",
  ].join("\n");
}

function remarks(): string {
  return [
    "What is bought with it differs. Stock sends, and forgets: a reader that was away, a Redis that failed over or a message",
    "that pub/sub lost is a hole nobody sees, and two nodes that publish at once are heard in different orders. Here the same",
    "script gives an offset, keeps the publication in the channel's log and sends it; the publisher is answered when it is",
    "there, where stock answers before Redis was asked, and its own readers get it by the same way as all others. A publisher's",
    "message is also authorised, counted by its limits and checked.",
  ].join("\n");
}
