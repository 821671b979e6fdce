import { describe, expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../../src/redis/keys.ts";
import { slotOf } from "../../../src/redis/slots.ts";
import type { Cluster } from "../../support/cluster.ts";
import { another, inStep, replication, turnReplicasAway, writtenBytes } from "../../support/failover.ts";
import { expectNobodyLeft, expectWhole, lasting, pause, seeds, underLoad } from "../../support/faults.ts";
import type { RedisProcess } from "../../support/redis-process.ts";
import { clientOn, subscribe } from "../../support/node-clients.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

describe.each(["sentinel", "cluster"] as const)("a primary lost on %s", (topology) => {
  describe("to kill -9", () => {
    const cluster = useCluster({ topology, store: { replicas: 1 } });

    test.each(seeds)("goes on in its replica, with all that was acknowledged (seed %i)", async (seed) => {
      await inStep(cluster());
      const outcome = await underLoad(cluster(), { seed }, async ({ random }) => {
        await pause(random() * 1_000);
        const primary = await cluster().store.primary();
        await replicated(primary);
        await primary.kill();
        await another(cluster(), primary);
      });

      expectWhole(outcome);
      expectNobodyLeft(cluster(), outcome);
    });
  });

  describe("because it hangs", () => {
    const cluster = useCluster({ topology, store: { replicas: 1 } });
    // Until nodes look again who holds a Cluster's slots: what it still does for those who have not is forked.
    const forgottenMs = topology === "cluster" ? 6_000 : 3_000;

    test.each(seeds)("does no harm when it comes back and another has its place (seed %i)", async (seed) => {
      await inStep(cluster());
      const outcome = await underLoad(cluster(), { seed }, async () => {
        const primary = await cluster().store.primary();
        await replicated(primary);
        primary.freeze();
        onTestFinished(() => primary.thaw());
        const least = pause(lasting(15_000, 6_000));
        await another(cluster(), primary);
        await Promise.all([least, pause(forgottenMs)]);
        primary.thaw();
      });

      expectWhole(outcome);
      expectNobodyLeft(cluster(), outcome);
    });
  });

  describe("before its replica had all of it", () => {
    const cluster = useCluster({ topology, store: { replicas: 1 } });

    test.each(seeds)("is told to everybody who read what is gone (seed %i)", async (seed) => {
      await inStep(cluster());
      const outcome = await underLoad(cluster(), { seed, perSecond: 400 }, async () => {
        const primary = await cluster().store.primary();
        await turnReplicasAway(primary);
        await primary.kill();
        await another(cluster(), primary);
      });

      const { lost, repeated, unreported: untold, reported: told } = outcome.verdict;
      const { examples } = outcome.load.history;
      expect({ examples, lost, repeated, untold }).toEqual({ examples: [], lost: 0, repeated: 0, untold: 0 });
      expect(told).toBeGreaterThan(0);
      expectNobodyLeft(cluster(), outcome);
    });
  });
});

describe("a Cluster that is resharded under load", () => {
  const cluster = useCluster({ topology: "cluster" });

  test.each(seeds)("loses nothing on the way (seed %i)", async (seed) => {
    const outcome = await underLoad(cluster(), { seed }, async ({ random }) => {
      for (const until = Date.now() + lasting(20_000, 4_000); Date.now() < until;) {
        const slot = busySlot(cluster(), random);
        const { servers } = cluster().store;
        const to = servers[Math.floor(random() * servers.length)] as RedisProcess;
        if (to === (await cluster().store.primary(slot))) continue;
        await cluster().store.moveSlot(slot, to);
        // As an operator would: the next when this one has gone round.
        await pause(1_000);
      }
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
  });
});

describe("a shard of a Cluster that hangs", () => {
  const cluster = useCluster({ topology: "cluster", nodes: 1 });

  test("delays only its own channels, whose readers lose nothing", async () => {
    const node = cluster().node(0);
    const keys = createKeys(cluster().prefix);
    const shardOf = (key: string): Promise<RedisProcess> => cluster().store.primary(slotOf(key));
    const control = await shardOf(keys.nodes());
    const hanging = cluster().store.servers.find((server) => server !== control) as RedisProcess;
    const [own, other] = await Promise.all([
      first(async (name) => (await shardOf(keys.channelLog(name))) === hanging),
      first(async (name) => (await shardOf(keys.channelLog(name))) === control),
    ]);
    const client = await clientOn(node, "ada");
    const seen: string[] = [];
    const ended: unknown[] = [];
    client.on("publication", ({ channel, data }: { channel: string; data: number }) => seen.push(`${channel} ${data}`));
    client.on("unsubscribed", (why) => ended.push(why)).on("disconnect", (why) => ended.push(why));
    await Promise.all([subscribe(client, own), subscribe(client, other)]);

    hanging.freeze();
    onTestFinished(() => hanging.thaw());
    const held = node.call("POST", "/v1/publish", { channel: own, event: "e", data: 0, idempotencyKey: "held" });
    // Longer than commands wait for an answer, so that the node has noticed.
    for (const until = Date.now() + 4_000; Date.now() < until; await pause(200)) {
      const data = seen.length;
      await node.call("POST", "/v1/publish", { channel: other, event: "e", data });
      await eventually(() => expect(seen.at(-1)).toBe(`${other} ${data}`));
    }
    hanging.thaw();

    await held;
    await eventually(async () => {
      const again = { channel: own, event: "e", data: 0, idempotencyKey: "held" };
      expect(await node.call("POST", "/v1/publish", again)).toMatchObject({ status: 200 });
    });
    await eventually(() => expect(seen).toContain(`${own} 0`));
    expect(seen.filter((text) => text.startsWith(own))).toEqual([`${own} 0`]);
    expect(ended).toEqual([]);
  });
});

/** The first channel of the lab that is as asked. */
async function first(isWanted: (name: string) => Promise<boolean>): Promise<string> {
  for (let n = 0; ; n++) if (await isWanted(`lab:${n}`)) return `lab:${n}`;
}

/** Holds writes back until its replica has all that was acknowledged, and beyond: what it lacks is lost with the primary. */
async function replicated(primary: RedisProcess): Promise<void> {
  await eventually(async () => {
    await primary.ask("CLIENT", "PAUSE", 5_000, "WRITE");
    const info = await replication(primary);
    const lags = [...info.matchAll(/^slave\d+:.*offset=(\d+)/gm)].map(
      ([, offset]) => writtenBytes(info) - Number(offset),
    );
    if (lags.length === 0 || lags.some((lag) => lag > 0)) throw new Error(`replicas lag by ${lags.join()} bytes`);
  });
}

/** The slot of one of the channels under load. */
function busySlot({ prefix }: Cluster, random: () => number): number {
  return slotOf(createKeys(prefix).channelLog(`lab:${Math.floor(random() * 12)}`));
}
