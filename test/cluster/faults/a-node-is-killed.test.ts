import { describe, expect, test } from "vitest";
import { expectWhole, pause, seeds, underLoad } from "../../support/faults.ts";
import { topologies } from "../../support/store-lab.ts";
import { useCluster } from "../../support/use-cluster.ts";

describe.each(topologies)("a node killed under load, on %s", (topology) => {
  const cluster = useCluster({ topology });

  test.each(seeds)("costs its readers a reconnection and nothing else (seed %i)", async (seed) => {
    let killed = 0;
    const outcome = await underLoad(cluster(), { seed }, async ({ random }) => {
      killed = Math.floor(random() * 3);
      await pause(random() * 1_000);
      await cluster().node(killed).kill();
    });

    expectWhole(outcome);
    // A third of them, more or less: connections are dealt out in turn, and some are tried twice.
    expect(outcome.disconnects).toBeGreaterThan(outcome.load.readers.length / 5);
    expect(outcome.disconnects).toBeLessThan(outcome.load.readers.length / 2);
    await cluster().restart(killed);
  });
});
