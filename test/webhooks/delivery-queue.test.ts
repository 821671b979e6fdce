import { expect, test } from "vitest";
import { createDeliveryQueue } from "../../src/webhooks/delivery-queue.ts";
import type { DeliveryQueueStore } from "../../src/webhooks/delivery-queue-store.ts";
import { createEndpoints } from "../../src/webhooks/endpoints.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

test("a claim is not renewed over the pause of a failed attempt, which would change the time of the next", async () => {
  const clock = new FakeClock();
  const [endpoint] = createEndpoints([{ url: "http://127.0.0.1:1/", secret: "s", events: ["order.status"] }]);
  const entity = "order:o-1";
  const renewed: string[] = [];
  const retried = Promise.withResolvers<void>();
  let claims = 0;
  const store: DeliveryQueueStore = {
    leaseMs: 3_000,
    claim: async () => ({ due: claims++ === 0 ? [entity] : [], nextInMs: undefined }),
    head: async () => ({ message: { id: "m", type: "order.status", body: "{}" }, tries: 0 }),
    retry: () => retried.promise,
    setDue: async (_endpoint, entities) => void renewed.push(...entities),
    enqueue: async () => [],
    ack: async () => false,
    deadLetter: async () => false,
    dropIfEmpty: async () => false,
    queues: async () => ({ count: 0, next: [] }),
    waiting: async () => 0,
  };
  const deliver = async () => "answered 503";
  const queue = createDeliveryQueue({ store, deliver, onOutcome: () => undefined, clock, log: quietLog }, endpoint!);
  queue.start();
  await clock.advance(100);

  // Redis has planned the next attempt; its reply is on the way.
  await clock.advance(2_000);
  retried.resolve();
  await clock.advance(2_000);

  expect(renewed).toEqual([]);
  await queue.stop(new AbortController().signal);
});
