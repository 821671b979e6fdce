import { Emitter } from "@socket.io/redis-emitter";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectClient, told, type Client } from "../support/gateway.ts";
import { topologies } from "../support/store-lab.ts";
import { eventually } from "../support/world.ts";

describe.each(topologies)("an unmodified @socket.io/redis-emitter on %s", (topology) => {
  let cluster: Cluster;
  beforeAll(async () => void (cluster = await startCluster({ topology })));
  afterAll(() => cluster.stop());

  /** One on each node, subscribed to the channel. */
  async function readersOf(channel: string): Promise<Client[]> {
    return Promise.all(
      cluster.nodes.map(async (node, index) => {
        const { token } = await node.signIn(`${channel}-${index}`);
        const client = await connectClient(node.url, token);
        await client.emitWithAck("subscribe", { channel });
        return client;
      }),
    );
  }

  test("reaches the readers of a channel on every node, once", async () => {
    const readers = await readersOf("chat:lobby");
    const others = await readersOf("chat:elsewhere");
    const emitter = new Emitter(cluster.redis());

    await eventually(() => {
      emitter.to("chat:lobby").emit("hello", { from: "a backend" });
      for (const reader of readers) expect(told(reader, "hello").length).toBeGreaterThan(0);
    });
    emitter.to("chat:lobby").emit("last", { n: 1 }, "and more");
    await eventually(() => {
      for (const reader of readers) expect(told(reader, "last")).toEqual([{ n: 1 }]);
    });

    for (const other of others) expect(told(other, "hello")).toEqual([]);
  });

  test("reaches a user wherever it is", async () => {
    const [reader] = await readersOf("chat:user-test");
    const emitter = new Emitter(cluster.redis());

    emitter.to("user:chat:user-test-0").emit("whisper", { secret: true });

    await eventually(() => expect(told(reader!, "whisper")).toEqual([{ secret: true }]));
  });
});
