import { expect, test } from "vitest";
import { createSubscriptionExpiry } from "../../src/orders/subscription-expiry.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

function start({ isParty = true, remainingMs = async (): Promise<(number | undefined)[]> => [60_000] } = {}) {
  const clock = new FakeClock();
  const ended: string[] = [];
  const expiry = createSubscriptionExpiry({
    remainingMs,
    isParty: async () => isParty,
    removeSubscription(subscriber, channel) {
      ended.push(subscriber.id);
      expiry.onSubscription({ subscriber, channel, isSubscribed: false });
    },
    clock,
    log: quietLog,
  });
  const subscribe = (id: string) =>
    expiry.onSubscription({
      subscriber: { id, userId: "ada" },
      channel: "order:o-1",
      isSubscribed: true,
    });
  return { clock, ended, expiry, subscribe };
}

test("a subscription that starts within ten seconds of the last removal of a party is checked again", async () => {
  const { clock, ended, expiry, subscribe } = start({ isParty: false });
  expiry.endOf("o-1", ["ada"]);
  await clock.advance(9_000);
  // The user was a party again in between.
  expiry.endOf("o-1", ["ada"]);
  await clock.advance(2_000);

  subscribe("permitted before");
  await settled();

  expect(ended).toEqual(["permitted before"]);
});

test("an order that had expired when it was asked for ends no subscription to a later order with its id", async () => {
  const answer = Promise.withResolvers<(number | undefined)[]>();
  const { clock, ended, expiry, subscribe } = start({ remainingMs: () => answer.promise });
  subscribe("to the expired order");
  await clock.advance(1_000);

  // As before a later order with this id is created.
  expiry.end("o-1");
  subscribe("to the later order");
  answer.resolve([undefined]);
  await settled();

  expect(ended).toEqual(["to the expired order"]);
});
