import { expect, it } from "vitest";
import { Frame, type FrameBatch, type FrameOptions } from "../../src/engine/frames.ts";
import { SendQueue } from "../../src/engine/send-queue.ts";
import { packetOf } from "./audience.ts";

const frame = (number: number, options?: FrameOptions): Frame => Frame.text(packetOf(number), options);

/** A batch of several frames. */
const batch = (first: Frame, ...more: Frame[]): FrameBatch => more.reduce((sum, next) => sum.and(next), first.alone);

/** What would be sent, and that nothing is then left. */
function takeAll(queue: SendQueue): number[] {
  const numbers: number[] = [];
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    numbers.push(
      ...next.frames().map(({ packet }) => (JSON.parse(packet.slice(2)) as [string, { offset: number }])[1].offset),
    );
  }
  expect(queue.bytes).toBe(0);
  return numbers;
}

it("keeps everything while there is room", () => {
  const queue = new SendQueue();

  const skipped = [
    queue.push(batch(frame(1, { key: "a" }), frame(2)), false),
    queue.push(batch(frame(3, { isVolatile: true })), false),
    queue.push(batch(frame(4, { key: "a" })), false),
  ];

  expect(skipped).toEqual(Array.from({ length: 3 }, () => ({ conflated: 0, volatile: 0 })));
  expect(queue.bytes).toBe([1, 2, 3, 4].reduce((sum, number) => sum + frame(number).bytes.length, 0));
  expect(takeAll(queue)).toEqual([1, 2, 3, 4]);
});

it("keeps of each key the latest under pressure, at its place in the order, and nothing that is volatile", () => {
  const queue = new SendQueue();
  queue.push(batch(frame(1, { key: "a" })), false);

  const skipped = [
    queue.push(batch(frame(2, { key: "a" }), frame(3, { key: "b" })), true),
    queue.push(batch(frame(4), frame(5, { key: "a" }), frame(6, { isVolatile: true })), true),
    queue.push(batch(frame(7), frame(8, { key: "b" })), true),
  ];

  expect(skipped).toEqual([
    { conflated: 0, volatile: 0 },
    { conflated: 1, volatile: 1 },
    { conflated: 1, volatile: 0 },
  ]);
  expect(takeAll(queue)).toEqual([1, 4, 5, 7, 8]);
});

it("goes on so until it is empty, so that nothing is overtaken", () => {
  const queue = new SendQueue();
  queue.push(batch(frame(1, { key: "a" })), true);

  queue.push(batch(frame(2)), false);
  queue.push(batch(frame(3, { key: "a" })), false);
  queue.push(batch(frame(4, { isVolatile: true })), false);

  expect(takeAll(queue)).toEqual([2, 3, 4]);
  expect(queue.isEmpty).toBe(true);
});

it("keeps the order when a frame is replaced after others have left, and when it was empty meanwhile", () => {
  const queue = new SendQueue();
  const first = [frame(1, { key: "a" }), frame(2, { key: "b" }), frame(3, { key: "c" })] as const;
  queue.push(batch(...first), false);
  queue.push(batch(frame(4, { key: "b" }), frame(5, { key: "d" })), true);

  const taken = [queue.shift(), queue.shift()].map((next) => next?.frames().length);
  queue.push(batch(frame(6, { key: "b" }), frame(7, { key: "e" })), true);

  expect(taken).toEqual([3, 1]);
  expect(takeAll(queue)).toEqual([5, 6, 7]);
  queue.push(batch(frame(8, { key: "b" })), true);
  queue.push(batch(frame(9, { key: "a" }), frame(10, { key: "b" })), true);
  expect(takeAll(queue)).toEqual([9, 10]);
});

it("hands out single frames, and keeps the rest of a batch at its place", () => {
  const queue = new SendQueue();
  queue.push(batch(frame(1), frame(2), frame(3)), false);
  queue.push(batch(frame(4), frame(5)), false);

  const first = queue.shiftFrames(2).map(({ packet }) => packet);

  expect(first).toEqual([1, 2].map((number) => frame(number).packet));
  expect(queue.bytes).toBe([3, 4, 5].reduce((sum, number) => sum + frame(number).bytes.length, 0));
  expect(takeAll(queue)).toEqual([3, 4, 5]);
});

it("counts what a frame takes beside its bytes if no other connection shares it", () => {
  const queue = new SendQueue();
  const own = frame(1, { isOwn: true });

  queue.push(own.alone, false);

  expect(queue.bytes).toBe(own.bytes.length + 128);
});
