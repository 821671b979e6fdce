import { describe, test } from "vitest";
import type { Cluster } from "../../support/cluster.ts";
import { expectNobodyLeft, expectWhole, lasting, pause, seeds, underLoad } from "../../support/faults.ts";
import type { RedisProcess } from "../../support/redis-process.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

describe.each(["sentinel", "cluster"] as const)("a primary lost on %s", (topology) => {
  const cluster = useCluster({ topology, store: { replicas: 1 } });

  test.each(seeds)("to kill -9: its replica goes on with all that was acknowledged (seed %i)", async (seed) => {
    const outcome = await underLoad(cluster(), { seed }, async ({ random }) => {
      await pause(random() * 1_000);
      const primary = await cluster().store.primary();
      await primary.kill();
      await another(cluster(), primary);
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
    await inStep(cluster());
  });

  test.each(seeds)("because it hangs, and comes back when another has its place (seed %i)", async (seed) => {
    const outcome = await underLoad(cluster(), { seed }, async () => {
      const primary = await cluster().store.primary();
      primary.freeze();
      const thaw = pause(lasting(15_000, 6_000)).then(() => primary.thaw());
      await another(cluster(), primary);
      await thaw;
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
  });
});

describe("a Cluster that is resharded under load", () => {
  const cluster = useCluster({ topology: "cluster" });

  test.each(seeds)("loses nothing on the way (seed %i)", async (seed) => {
    const outcome = await underLoad(cluster(), { seed }, async ({ random }) => {
      for (const until = Date.now() + lasting(20_000, 4_000); Date.now() < until;) {
        const slot = await busySlot(cluster(), random);
        const { servers } = cluster().store;
        const to = servers[Math.floor(random() * servers.length)] as RedisProcess;
        if (to !== (await cluster().store.primary(slot))) await cluster().store.moveSlot(slot, to);
      }
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
  });
});

/** Resolves when somebody else has the place. */
async function another({ store }: Cluster, before: RedisProcess): Promise<void> {
  await eventually(async () => {
    if ((await store.primary()) === before) throw new Error("nobody has taken the place yet");
  }, 20_000);
}

/** Starts again who was killed, and waits until it follows. */
async function inStep({ store }: Cluster): Promise<void> {
  await Promise.all(store.servers.map((server) => server.isRunning() || server.restart()));
  await eventually(async () => {
    const roles = await Promise.all(store.servers.map(async (server) => String(await server.ask("ROLE"))));
    if (!roles.some((role) => role.startsWith("slave") && role.includes("connected"))) throw new Error(roles.join());
  }, 20_000);
}

/** The slot of one of the channels under load. */
async function busySlot({ prefix, redis }: Cluster, random: () => number): Promise<number> {
  const channel = Math.floor(random() * 12);
  return Number(await redis().cluster("KEYSLOT", `${prefix}:{ch:lab%3A${channel}}:log`));
}
