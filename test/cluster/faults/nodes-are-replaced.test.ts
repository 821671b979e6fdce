import { describe, expect, test } from "vitest";
import { expectWhole, pause, seeds, underLoad } from "../../support/faults.ts";
import { topologies } from "../../support/store-lab.ts";
import { useCluster } from "../../support/use-cluster.ts";

describe.each(topologies)("a rolling restart under load, on %s", (topology) => {
  const cluster = useCluster({ topology });

  test.each(seeds)("moves each client, loses nothing and ends every node with 0 (seed %i)", async (seed) => {
    const codes: unknown[] = [];
    const outcome = await underLoad(cluster(), { seed }, async () => {
      for (const index of [0, 1, 2]) {
        const node = cluster().node(index);
        node.signal("SIGTERM");
        codes.push((await node.ended).code);
        await cluster().restart(index);
        await pause(500);
      }
    });

    expect(codes).toEqual([0, 0, 0]);
    expectWhole(outcome);
    // Whoever came to a node before its turn is moved again.
    expect(outcome.disconnects).toBeGreaterThanOrEqual(outcome.load.readers.length);
    expect(outcome.disconnects).toBeLessThanOrEqual(3 * outcome.load.readers.length);
    for (const { closings } of outcome.load.readers) for (const { code } of closings) expect(code).toBe("drain");
  });
});
