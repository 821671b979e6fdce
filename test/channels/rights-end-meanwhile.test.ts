import { expect, test } from "vitest";
import { GatewayError } from "../../src/protocol/errors.ts";
import { reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { freshPrefix } from "../support/world.ts";

const anyone = reader("ada");

test("whoever loses an order while it is read is answered nothing of it, and is not subscribed", async () => {
  let asked = 0;
  const mayReadOrder = async () => (asked += 1) === 1;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });
  const subscriber = recordingSubscriber();

  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toMatchObject({ code: "forbidden" });

  expect(channels.channelsOf(subscriber)).toEqual([]);
  expect(asked).toBe(2);
});

test("a subscription that the gateway ends before it was acknowledged is refused with the reason, and not told twice", async () => {
  const ended = new GatewayError("forbidden");
  const subscriber = recordingSubscriber();
  let asked = 0;
  const mayReadOrder = async () => {
    asked += 1;
    if (asked % 2 === 0) channels.forceUnsubscribe(subscriber, "order:7", ended);
    return true;
  };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });

  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toBe(ended);
  expect(subscriber.unsubscribed).toEqual([]);

  await channels.subscribeUnchecked(subscriber, anyone.userId, "order:7");
  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toBe(ended);
  expect(subscriber.unsubscribed).toEqual([{ channel: "order:7", code: "forbidden" }]);
});

test("whoever loses an order while its history is read is answered nothing of it", async () => {
  let asked = 0;
  const mayReadOrder = async () => (asked += 1) === 1;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });

  await expect(channels.historyAs(anyone, "order:7", { limit: 10 })).rejects.toMatchObject({ code: "forbidden" });

  expect(asked).toBe(2);
});
