import { describe, expect, test } from "vitest";
import { expectWhole, pause, seeds, underLoad } from "../../support/faults.ts";
import { connectClient, told, type Client } from "../../support/gateway.ts";
import { topologies } from "../../support/store-lab.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

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

  test("brings no subscription back that a backend has ended meanwhile, on a living node or a new one", async () => {
    const channel = "chat:club";
    const connect = async (userId: string, url: string): Promise<Client> => {
      const client = await connectClient(url, (await cluster().node(0).signIn(userId)).token);
      expect(await client.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });
      return client;
    };
    const comeBack = async (client: Client): Promise<Client> => {
      const isReady = new Promise((resolve) => void client.once("ready", resolve));
      client.connect();
      await isReady;
      return client;
    };
    const eve = await connect("eve", cluster().url);
    const killed = cluster().nodes.findIndex(({ nodeId }) => nodeId === eve.ready["nodeId"]);
    const [ada, bob] = [
      await connect("ada", cluster().node(killed).url),
      await connect("bob", cluster().node(killed).url),
    ];
    await cluster().node(killed).kill();
    await eventually(() => expect([ada, bob, eve].filter(({ connected }) => connected)).toEqual([]));
    const living = cluster().node((killed + 1) % 3);

    for (const user of ["ada", "eve"])
      expect(await living.call("POST", `/v1/users/${user}/unsubscribe`, { channel })).toMatchObject({ status: 200 });
    await comeBack(eve);
    await cluster().restart(killed);
    await comeBack(ada);
    await comeBack(bob);

    await living.call("POST", "/v1/publish", { channel, event: "said", data: 1 });
    await eventually(() => expect(told(bob, "publication").map(({ data }) => data)).toContain(1));
    expect([eve, ada, bob].map(({ recovered }) => recovered)).toEqual([false, false, true]);
    expect([...told(eve, "publication"), ...told(ada, "publication")]).toEqual([]);
    expect(await eve.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });
  });
});
