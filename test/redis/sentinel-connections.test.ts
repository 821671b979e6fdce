import { expect, onTestFinished, test } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { owned } from "../support/owned.ts";
import { startStore } from "../support/store-lab.ts";
import { eventually, quietLog } from "../support/world.ts";

test("a connection told to begin anew while the sentinels are being asked comes back all the same", async () => {
  const { address } = owned(await startStore("sentinel"));
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  const subscriber = redis.connection("bridges");
  await redis.ready(60_000);
  await subscriber.subscribe("news");

  for (let round = 0; round < 5; round++) {
    subscriber.once("connecting", () => subscriber.disconnect(true));
    subscriber.disconnect(true);
    await new Promise((resolve) => subscriber.once("end", resolve));
    await eventually(() => expect(subscriber.status).toBe("ready"));
  }

  const heard = new Promise((resolve) => subscriber.once("message", (_channel, text) => resolve(text)));
  await eventually(async () => expect(await redis.connection("commands").publish("news", "still here")).toBe(1));
  expect(await heard).toBe("still here");
});
