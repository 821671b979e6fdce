import { expect, onTestFinished, test } from "vitest";
import { startCluster } from "../support/cluster.ts";
import { connectClient } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { boardFile, channel, returningReader, set } from "./board.ts";

const path = `/v1/channels/${encodeURIComponent(channel)}/state`;

test("state works on a Redis Cluster: expiry, a killed node, a recovered client", { timeout: 120_000 }, async () => {
  const cluster = await startCluster({ topology: "cluster", nodes: 2, file: boardFile });
  onTestFinished(() => cluster.stop());
  const [here, there] = [cluster.node(0), cluster.node(1)];
  const reader = returningReader(here.url, (await here.signIn("reader")).token);
  onTestFinished(() => void reader.client.disconnect());
  await eventually(() => expect(reader.isUpToDate).toBe(true));
  const writer = await connectClient(there.url, (await here.signIn("writer")).token);
  await set(writer, "own", 1, { own: true });
  await set(writer, "short", 1, { ttlSeconds: 1 });
  await set(writer, "kept", 1);
  await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ own: 1, kept: 1 }));

  await there.kill();
  await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ kept: 1 }));
  reader.cut("http://127.0.0.1:1");
  await eventually(() => expect(reader.client.connected).toBe(false));
  await here.call("POST", path, {
    changes: [
      { key: "kept", value: null },
      { key: "new", value: 2 },
    ],
  });
  Object.assign(reader.client.io, { uri: here.url });

  await eventually(() => expect(reader.isUpToDate).toBe(true));
  await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ new: 2 }));
  expect(reader.returns).toEqual({ recovered: 1, anew: 1 });
});
