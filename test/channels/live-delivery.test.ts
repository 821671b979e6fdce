import { expect, test } from "vitest";
import { reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { freshPrefix } from "../support/world.ts";

test("a node that may not deliver keeps live messages for its subscribers, and refuses those beyond its bound", async () => {
  let mayDeliver = true;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayDeliver: () => mayDeliver });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, reader("ada"), "chat:lobby");
  // Behind the answer.
  await new Promise((resolve) => setImmediate(resolve));
  const deliver = (channel: string, n: number): void => channels.deliverLive(channel, "said", `${n}`);
  mayDeliver = false;

  for (let n = 0; n < 2_000; n++) deliver("chat:nobody", n);
  for (let n = 0; n < 1_024; n++) deliver("chat:lobby", n);
  expect(() => deliver("chat:lobby", 1_024)).toThrow(expect.objectContaining({ code: "unavailable" }));
  mayDeliver = true;
  channels.repair();

  expect(subscriber.seen.map(({ data }) => data)).toEqual(Array.from({ length: 1_024 }, (_, n) => n));
});
