import { Emitter } from "@socket.io/redis-emitter";
import { describe, expect, test } from "vitest";
import { told } from "../support/gateway.ts";
import { readersOn } from "../support/node-clients.ts";
import { topologies } from "../support/store-lab.ts";
import { useCluster } from "../support/use-cluster.ts";
import { eventually } from "../support/world.ts";

describe.each(topologies)("an unmodified @socket.io/redis-emitter on %s", (topology) => {
  const cluster = useCluster({ topology });

  test("reaches the readers of a channel on every node, once", async () => {
    const readers = await readersOn(cluster().nodes, "chat:lobby");
    const others = await readersOn(cluster().nodes, "chat:elsewhere");
    const emitter = new Emitter(cluster().redis());

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

  test("reaches them again after the nodes' connections were cut", async () => {
    const readers = await readersOn(cluster().nodes, "chat:after");
    const emitter = new Emitter(cluster().redis());

    await Promise.all(cluster().store.servers.map((server) => server.ask("CLIENT", "KILL", "TYPE", "pubsub")));

    await eventually(() => {
      emitter.to("chat:after").emit("hello", {});
      for (const reader of readers) expect(told(reader, "hello").length).toBeGreaterThan(0);
    });
  });

  test("reaches a user wherever it is", async () => {
    const [reader] = await readersOn(cluster().nodes, "chat:user-test");
    const emitter = new Emitter(cluster().redis());

    emitter.to("user:chat-user-test-0").emit("whisper", { secret: true });

    await eventually(() => expect(told(reader!, "whisper")).toEqual([{ secret: true }]));
  });
});
