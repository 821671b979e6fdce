import { expect, it } from "vitest";
import { SubscriberList, type Subscriber } from "../../src/channels/subscribers.ts";
import { seeded } from "../support/random.ts";

it("holds each member once, whoever comes and goes, few or many", () => {
  const random = seeded(7);
  const everybody: Subscriber[] = Array.from({ length: 40 }, (_, n) => ({ id: `${n}`, userId: "ada" }));
  const list = new SubscriberList();
  const expected = new Set<Subscriber>();

  for (let step = 0; step < 5_000; step++) {
    // Mostly few, now and then many.
    const range = step % 500 < 250 ? 6 : 40;
    const subscriber = everybody[Math.floor(random() * range)] as Subscriber;
    if (random() < 0.5) {
      expected.add(subscriber);
      list.add(subscriber);
    } else {
      expected.delete(subscriber);
      list.remove(subscriber);
    }
    if (list.members.length !== expected.size || list.members.some((member) => !expected.has(member)))
      expect.unreachable(`after ${step} steps`);
  }
});
