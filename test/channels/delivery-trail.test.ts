import { expect, test } from "vitest";
import {
  positionsAt,
  RecentDeliveries,
  type DeliveryStart,
  type TrailChannel,
} from "../../src/channels/delivery-trail.ts";

const at = (offset: number, epoch = "epoch") => ({ epoch, offset });
const delivery = (channel: string, offset: number, timestamp: number) => ({ channel, ...at(offset), timestamp });
const nothing = { missed: [], positions: new Map() };

/** A connection that came with timestamp 50 and was passed the rest in this order; by their timestamps it is another. */
function passed(
  start: Pick<DeliveryStart, "missed" | "positions"> = nothing,
  more: ReturnType<typeof delivery>[] = [],
) {
  const recent = new RecentDeliveries();
  recent.note(delivery("chat:a", 6, 190));
  const { count: mark } = recent;
  recent.note(delivery("chat:a", 7, 200));
  recent.note(delivery("chat:b", 3, 100));
  recent.note(delivery("chat:other", 9, 300));
  recent.note(delivery("chat:a", 8, 250));
  for (const one of more) recent.note(one);
  const end = more.length === 0 ? 8 : more.at(-1)!.offset;
  const reads = new Map<string, TrailChannel>([
    ["chat:a", { start: at(2), delivered: at(end) }],
    ["chat:b", { start: at(1), delivered: at(3) }],
  ]);
  const trail = recent.trailOf(reads, { deliveryCount: mark, since: 50, ...start });
  return (timestamp: number) => {
    const positions = positionsAt(trail, timestamp);
    return positions && ["chat:a", "chat:b"].map((name) => positions.get(name)?.offset);
  };
}

test("what a client has read follows from the order of its deliveries, not from their timestamps", () => {
  const positionsOf = passed();

  expect([50, 200, 100, 250].map(positionsOf)).toEqual([
    [6, 2],
    [7, 2],
    [7, 3],
    [8, 3],
  ]);
});

test("what it had missed comes before what was passed to all, and is not counted again there", () => {
  const missed = [delivery("chat:b", 2, 90), delivery("chat:b", 3, 100), delivery("chat:a", 7, 200)];
  const positions = new Map([
    ["chat:a", at(7)],
    ["chat:b", at(3)],
  ]);
  const positionsOf = passed({ missed, positions });

  expect([50, 90, 100, 200, 250].map(positionsOf)).toEqual([
    [6, 1],
    [6, 2],
    [6, 3],
    [7, 3],
    [8, 3],
  ]);
});

test.each([150, 190])("a timestamp that is not one of its deliveries, as %d, tells nothing", (timestamp) => {
  expect(passed()(timestamp)).toBeUndefined();
});

test("what is no longer remembered tells nothing, and neither does what had been missed before it", () => {
  const start = { missed: [delivery("chat:b", 2, 1_290)], positions: new Map([["chat:b", at(3)]]) };
  const more = Array.from({ length: 5_000 }, (_, n) => delivery("chat:a", 9 + n, 1_001 + n));
  const positionsOf = passed(start, more);

  expect([50, 250, 1_290].map(positionsOf)).toEqual([undefined, undefined, undefined]);
  expect(positionsOf(6_000)).toEqual([5_008, 3]);
});

test("a subscription that began anew is read from where it began", () => {
  const recent = new RecentDeliveries();
  recent.note(delivery("chat:a", 7, 200));
  recent.note(delivery("chat:b", 3, 210));
  const reads = new Map<string, TrailChannel>([
    ["chat:a", { start: at(8), delivered: at(7) }],
    ["chat:b", { start: at(0, "next"), delivered: at(1, "next") }],
    ["chat:c", { start: at(5, "next"), delivered: at(9) }],
  ]);
  recent.note({ ...delivery("chat:b", 1, 220), epoch: "next" });

  const trail = recent.trailOf(reads, { deliveryCount: 0, since: 50, ...nothing });
  const start = new Map([
    ["chat:a", at(8)],
    ["chat:b", at(0, "next")],
    ["chat:c", at(5, "next")],
  ]);
  expect(positionsAt(trail, 50)).toEqual(start);
  expect(positionsAt(trail, 220)).toEqual(start.set("chat:b", at(1, "next")));
});
