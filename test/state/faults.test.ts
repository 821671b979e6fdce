import { expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { startCluster } from "../support/cluster.ts";
import { connectClient, startGateway } from "../support/gateway.ts";
import { eventually, redisWorld } from "../support/world.ts";
import { boardFile, channel, follow, returningReader, set } from "./board.ts";

test("subscribers are told of what Redis has lost, with the next change", async () => {
  const gateway = await startGateway({ file: boardFile });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  const view = await follow(client);
  for (const key of ["a", "b"]) await set(client, key, 1);
  await eventually(() => expect(view.values()).toEqual({ a: 1, b: 1 }));
  const { redis } = await redisWorld();
  const { feed: _feed, ...lost } = createKeys(gateway.prefix).channelState(channel);

  await redis.connection("commands").unlink(...Object.values(lost));
  await set(client, "c", 1);

  await eventually(() => expect(view.values()).toEqual({ c: 1 }));
  await set(client, "a", 2);
  await eventually(() => expect(view.values()).toEqual({ a: 2, c: 1 }));
});

test(
  "a node that was given up for dead and lives sets the keys of its connections again",
  { timeout: 120_000 },
  async () => {
    const cluster = await startCluster({ nodes: 2, file: boardFile });
    onTestFinished(() => cluster.stop());
    const [here, frozen] = [cluster.node(0), cluster.node(1)];
    const reader = returningReader(here.url, (await here.signIn("reader")).token);
    onTestFinished(() => void reader.client.disconnect());
    await eventually(() => expect(reader.isUpToDate).toBe(true));
    const owner = await connectClient(frozen.url, (await here.signIn("owner")).token);
    for (const key of ["own", "taken", "removed"]) await set(owner, key, 1, { own: true });
    await eventually(() => expect(reader.values.size).toBe(3));

    frozen.freeze();
    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({}));
    await set(reader.client, "taken", 2);
    frozen.thaw();

    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ own: 1, removed: 1, taken: 2 }));
    expect(owner.connected).toBe(true);
    owner.disconnect();
    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ taken: 2 }));
  },
);
