import { describe, test } from "vitest";
import { expectNobodyLeft, expectWhole, lasting, pause, seeds, underLoad } from "../../support/faults.ts";
import { topologies } from "../../support/store-lab.ts";
import { useCluster } from "../../support/use-cluster.ts";

describe.each(topologies)("subscribers cut every 100 ms, on %s", (topology) => {
  const cluster = useCluster({ topology });

  test.each(seeds)("repair what they missed, again and again (seed %i)", async (seed) => {
    const outcome = await underLoad(cluster(), { seed }, async () => {
      for (const until = Date.now() + lasting(20_000, 4_000); Date.now() < until;) {
        await Promise.all(cluster().store.servers.map((server) => server.ask("CLIENT", "KILL", "TYPE", "pubsub")));
        await pause(100);
      }
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
  });
});
