import { describe, expect, test } from "vitest";
import {
  firstSentFrom,
  fromParts,
  toParts,
  type ChannelPublishLog,
} from "../../src/loadtest/verification/publish-log.ts";
import { DeliveryChecker } from "../../src/loadtest/verification/delivery-checker.ts";
import { Sequence } from "../../src/loadtest/verification/sequence.ts";
import { addCounts, emptyVerdict, sumVerdicts } from "../../src/loadtest/verification/verdict.ts";
import { seeded, shuffle } from "../../src/loadtest/random.ts";

/** Publications 1 to `count`, sent at 101, 102, …; the house confirmed all but those named. */
const logOf = (count: number, unconfirmed: number[] = [], outOfOrder: number[] = []): ChannelPublishLog => ({
  sentAt: Array.from({ length: count }, (_, index) => 101 + index),
  unconfirmed: new Set(unconfirmed),
  outOfOrder: new Set(outOfOrder),
});

const epoch = "e";

/** A reader from the beginning that was sent these numbers, each at the place of the same number. */
function readerOf(numbers: readonly number[]): DeliveryChecker {
  const reading = new DeliveryChecker();
  reading.subscribed(100, { epoch, offset: 0 });
  for (const number of numbers) reading.received({ position: { epoch, offset: number }, number });
  return reading;
}

const clean = { lost: 0, reported: 0, repeated: 0, reordered: 0, duplicated: 0, gaps: 0 };

describe("a reader of a house that numbers", () => {
  test("who got everything once and in order has nothing to complain of", () => {
    expect(readerOf([1, 2, 3, 4]).evaluate(logOf(4))).toEqual({ ...clean, expected: 4, arrived: 4 });
  });

  test("finds what is lost in the middle, which is a gap, and at the end, which is none", () => {
    expect(readerOf([1, 2, 5, 6]).evaluate(logOf(8))).toEqual({ ...clean, expected: 8, arrived: 4, lost: 4, gaps: 2 });
  });

  test("finds a repeat", () => {
    expect(readerOf([1, 2, 2, 3, 1]).evaluate(logOf(3))).toMatchObject({ repeated: 2, lost: 0, reordered: 0 });
  });

  test("finds reordered deliveries", () => {
    expect(readerOf([1, 3, 2, 4]).evaluate(logOf(4))).toMatchObject({ reordered: 1, lost: 0, repeated: 0, gaps: 0 });
  });

  test("finds a duplicated publication", () => {
    const reading = readerOf([1, 2]);

    reading.received({ position: { epoch, offset: 3 }, number: 2 });

    expect(reading.evaluate(logOf(2))).toMatchObject({ duplicated: 1, repeated: 0 });
  });

  test("finds publications stored in another order than published", () => {
    const reading = readerOf([1]);
    reading.received({ position: { epoch, offset: 2 }, number: 3 });
    reading.received({ position: { epoch, offset: 3 }, number: 2 });

    expect(reading.evaluate(logOf(3))).toMatchObject({ reordered: 1, lost: 0, gaps: 0 });
    expect(reading.evaluate(logOf(3, [], [2]))).toMatchObject({ reordered: 0 });
  });

  test("expects nothing unconfirmed, and nothing sent before the subscription", () => {
    const reading = new DeliveryChecker();
    reading.subscribed(103, { epoch, offset: 2 });
    reading.received({ position: { epoch, offset: 3 }, number: 3 });

    expect(reading.evaluate(logOf(5, [4, 5]))).toEqual({ ...clean, expected: 1, arrived: 1 });
  });

  test("that was notified of a loss counts it as lost, without a gap", () => {
    const reading = readerOf([1, 2]);
    reading.reset(105, { epoch, offset: 4 });
    reading.received({ position: { epoch, offset: 5 }, number: 5 });

    expect(reading.evaluate(logOf(5))).toEqual({ ...clean, expected: 5, arrived: 3, lost: 2, reported: 2 });
  });

  test("that loses more after a notification was not notified of that", () => {
    const reading = readerOf([1]);
    reading.reset(103, { epoch, offset: 2 });
    reading.received({ position: { epoch, offset: 3 }, number: 3 });

    expect(reading.evaluate(logOf(4))).toMatchObject({ lost: 2, reported: 1 });
  });

  test("sees a gap if the epoch changes without a notification", () => {
    const reading = readerOf([1, 2]);
    reading.received({ position: { epoch: "another", offset: 1 }, number: 3 });

    expect(reading.evaluate(logOf(3))).toMatchObject({ gaps: 1, lost: 0 });
  });

  test("crosses into the next generation of a log without a gap, and sees one it skipped on the way", () => {
    const reading = readerOf([1, 2]);
    reading.received({ position: { epoch: "next", offset: 3 }, number: 3 });
    expect(reading.evaluate(logOf(3))).toEqual({ ...clean, expected: 3, arrived: 3 });

    reading.received({ position: { epoch: "after that", offset: 5 }, number: 5 });
    expect(reading.evaluate(logOf(5))).toMatchObject({ gaps: 1, lost: 1 });
  });

  test("that never subscribed expects nothing", () => {
    expect(new DeliveryChecker().evaluate(logOf(3))).toEqual({ ...clean, expected: 0, arrived: 0 });
  });
});

test("without positions it uses the publisher's numbers", () => {
  const reading = new DeliveryChecker();
  reading.subscribed(100);
  for (const number of [1, 2, 2, 5, 4, 6]) reading.received({ number });

  expect(reading.evaluate(logOf(6))).toEqual({ ...clean, expected: 6, arrived: 5, lost: 1, repeated: 1, reordered: 1 });
});

test("a sequence agrees with a plain set for any order of numbers", () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round += 1) {
    const count = 1 + Math.floor(random() * 40);
    const all = shuffle(
      Array.from({ length: count }, (_, index) => index + 1),
      random,
    );
    const some = all.filter(() => random() < 0.8);
    const sequence = new Sequence();
    const seen = new Set<number>();

    for (const number of [...some, ...some.slice(0, 3)]) {
      const result = sequence.take(number);
      expect(result === "repeated").toBe(seen.has(number));
      seen.add(number);
    }

    const absent = all.filter((number) => !seen.has(number)).toSorted((a, b) => a - b);
    expect([...sequence.absent(1, count)]).toEqual(absent);
    expect(sequence.missing).toBe(absent.filter((number) => number < sequence.last).length);
    expect(all.every((number) => sequence.has(number) === seen.has(number))).toBe(true);
  }
});

test("a publish log survives serialization, and finds the first number sent after a time", () => {
  const publishLog = logOf(5, [2], [3]);

  expect(fromParts(JSON.parse(JSON.stringify(toParts(new Map([["c", publishLog]])))))).toEqual(
    new Map([["c", publishLog]]),
  );
  expect([100, 101, 103.5, 105, 106].map((moment) => firstSentFrom(publishLog, moment))).toEqual([1, 1, 4, 5, 6]);
});

test("verdicts add up over readers and workers, and keep examples of failures", () => {
  const [one, other] = [emptyVerdict(), emptyVerdict()];
  addCounts(one, "first", readerOf([1, 2]).evaluate(logOf(2)), true);
  addCounts(other, "second", readerOf([2]).evaluate(logOf(2)), true);
  addCounts(other, "third", new DeliveryChecker().evaluate(logOf(2)), false);

  const sum = sumVerdicts([one, other]);

  expect(sum).toMatchObject({ subscriptions: 3, neverSubscribed: 1, expected: 4, arrived: 3, lost: 1, gaps: 1 });
  expect(sum.examples).toEqual(["second: 1 lost, 1 gaps"]);
});
