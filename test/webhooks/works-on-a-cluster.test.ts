import { expect, test } from "vitest";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { startHookReceiver, unreliable } from "../support/hook-receiver.ts";
import { seeded } from "../support/random.ts";
import { eager, startWebhooksNode, status } from "../support/webhooks-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

test("queues and occupancy work on a Redis Cluster", async () => {
  const address = { topology: "cluster" as const, urls: [await clusterOfOne()] };
  const receiver = await startHookReceiver(unreliable(seeded(2), { failed: 0.3, hung: 0 }));
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints: [eager(receiver.url)], address });

  for (let sequence = 0; sequence < 10; sequence += 1) await node.webhooks.orderStatus(status("o-1", sequence));
  node.webhooks.subscriptionChanged({ channel: "chat:{1}" }, true);
  await eventually(() => expect(receiver.taken("channel.occupied")).toHaveLength(1));
  node.webhooks.subscriptionChanged({ channel: "chat:{1}" }, false);

  await eventually(() => expect(receiver.taken("channel.vacated")).toHaveLength(1));
  await eventually(() => expect(receiver.taken("order.status")).toHaveLength(10));
  expect(receiver.taken("order.status").map(({ data }) => data["sequence"])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
