import { expect, it } from "vitest";
import { Backlog } from "../../src/engine/backlog.ts";
import { Frame, type Batch } from "../../src/engine/batch.ts";
import type { DeliveryOptions } from "../../src/channels/subscribers.ts";
import { packetOf } from "./audience.ts";

const frame = (number: number, manner?: DeliveryOptions): Frame => new Frame(packetOf(number), manner);

/** A batch of several frames. */
const batch = (first: Frame, ...more: Frame[]): Batch => more.reduce((sum, next) => sum.and(next), first.alone);

/** What would be sent, and that nothing is then left. */
function takeAll(backlog: Backlog): number[] {
  const numbers: number[] = [];
  for (let next = backlog.shift(); next !== undefined; next = backlog.shift()) {
    numbers.push(
      ...next.frames().map(({ text }) => (JSON.parse(text.slice(1)) as [string, { offset: number }])[1].offset),
    );
  }
  expect(backlog.bytes).toBe(0);
  return numbers;
}

it("keeps everything while there is room", () => {
  const backlog = new Backlog();

  const skipped = [
    backlog.keep(batch(frame(1, { key: "a" }), frame(2)), false),
    backlog.keep(batch(frame(3, { isVolatile: true })), false),
    backlog.keep(batch(frame(4, { key: "a" })), false),
  ];

  expect(skipped).toEqual(Array.from({ length: 3 }, () => ({ conflated: 0, volatile: 0 })));
  expect(backlog.bytes).toBe([1, 2, 3, 4].reduce((sum, number) => sum + frame(number).bytes.length, 0));
  expect(takeAll(backlog)).toEqual([1, 2, 3, 4]);
});

it("keeps of each key the latest under pressure, at its place in the order, and nothing that is volatile", () => {
  const backlog = new Backlog();
  backlog.keep(batch(frame(1, { key: "a" })), false);

  const skipped = [
    backlog.keep(batch(frame(2, { key: "a" }), frame(3, { key: "b" })), true),
    backlog.keep(batch(frame(4), frame(5, { key: "a" }), frame(6, { isVolatile: true })), true),
    backlog.keep(batch(frame(7), frame(8, { key: "b" })), true),
  ];

  expect(skipped).toEqual([
    { conflated: 0, volatile: 0 },
    { conflated: 1, volatile: 1 },
    { conflated: 1, volatile: 0 },
  ]);
  expect(takeAll(backlog)).toEqual([1, 4, 5, 7, 8]);
});

it("goes on so until it is empty, so that nothing is overtaken", () => {
  const backlog = new Backlog();
  backlog.keep(batch(frame(1, { key: "a" })), true);

  backlog.keep(batch(frame(2)), false);
  backlog.keep(batch(frame(3, { key: "a" })), false);
  backlog.keep(batch(frame(4, { isVolatile: true })), false);

  expect(takeAll(backlog)).toEqual([2, 3, 4]);
  expect(backlog.isEmpty).toBe(true);
});
