import { readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Cluster } from "../../support/cluster.ts";
import { another, inStep, turnReplicasAway } from "../../support/failover.ts";
import { isLong, pause, seeds, underLoad } from "../../support/faults.ts";
import { startLiveThings } from "../../support/live-things.ts";
import { seeded } from "../../support/random.ts";
import type { RedisProcess } from "../../support/redis-process.ts";
import type { StoreLabOptions, Topology } from "../../support/store-lab.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { useCluster } from "../../support/use-cluster.ts";

/** Milliseconds after which no node follows a channel whose last reader has gone. */
const unfollowedMs = 6_000;

interface Loss {
  name: string;
  topology: Topology;
  /** Left out where every minute counts: another loss shows the same. */
  isLongOnly?: boolean;
  store: StoreLabOptions;
  /** Before what is lost is published. */
  prepare?: (primary: RedisProcess) => Promise<unknown>;
  lose: (cluster: Cluster, primary: RedisProcess) => Promise<void>;
}

const losses: Loss[] = [
  {
    name: "restored from a dump",
    topology: "single",
    store: {},
    prepare: (primary) => primary.ask("SAVE"),
    async lose(_cluster, primary) {
      await primary.kill();
      await primary.restart();
    },
  },
  {
    name: "without the end of its append-only file",
    topology: "single",
    isLongOnly: true,
    store: { isDurable: true },
    async lose(_cluster, primary) {
      await primary.kill();
      truncateTail(primary, 50_000);
      await primary.restart();
    },
  },
  { name: "in a replica that lacks the end", topology: "sentinel", store: { replicas: 1 }, lose: failOver },
  { name: "in a replica that lacks the end", topology: "cluster", store: { replicas: 1 }, lose: failOver },
];

const run = losses.filter(({ isLongOnly }) => isLong || isLongOnly !== true);

/** Half of all clients, those that are there and those that are away. */
const readers = Number(process.env["READERS"] ?? (isLong ? 300 : 24)) / 2;
const perSecond = isLong ? 300 : 120;

describe.each(run)("Redis on $topology, back $name", ({ topology, store, prepare, lose }) => {
  const cluster = useCluster({ topology, store, file: { leaderboards: { "*": {} } } });

  test.each(seeds)("hides nothing, neither from who is there nor from who comes back (seed %i)", async (seed) => {
    await inStep(cluster());
    const line = await startTcpProxy({ targets: () => cluster().nodes });
    onTestFinished(() => line.stop());
    const absent = { url: `http://127.0.0.1:${line.port}`, readers };
    const things = await startLiveThings(cluster(), { urls: [cluster().url, absent.url], random: seeded(seed) });
    onTestFinished(() => things.stop());
    const outcome = await underLoad(cluster(), { seed, readers, absent, perSecond }, async ({ random }) => {
      line.cut();
      await pause(unfollowedMs);
      const primary = await cluster().store.primary();
      await prepare?.(primary);
      await pause(300 + random() * 700);
      await lose(cluster(), primary);
      // Some come back while Redis has just begun, some when it has gone on for a while.
      await pause(random() * 3_000);
      await line.heal();
    });

    const { lost, repeated, unreported: untold, forked, reported: told } = outcome.verdict;
    const { examples } = outcome.load.history;
    const nothing = { examples: [], lost: 0, repeated: 0, untold: 0, forked: 0 };
    expect({ examples, lost, repeated, untold, forked }).toEqual(nothing);
    expect(told).toBeGreaterThan(0);
    await things.expectAgreement();
    for (const node of cluster().nodes) expect(node.isRunning()).toBe(true);
  });
});

async function failOver(cluster: Cluster, primary: RedisProcess): Promise<void> {
  await turnReplicasAway(primary);
  await primary.kill();
  await another(cluster, primary);
}

/** As a disk does that lost its last writes. */
function truncateTail({ folder }: RedisProcess, bytes: number): void {
  const logs = join(folder, "appendonlydir");
  const log = join(logs, readdirSync(logs).find((name) => name.endsWith(".incr.aof")) ?? "");
  truncateSync(log, Math.max(statSync(log).size - bytes, 0));
}
