import { describe, expect, test } from "vitest";
import { firstSentFrom, fromParts, toParts, type ChannelLedger } from "../../src/loadtest/judge/ledger.ts";
import { Reading } from "../../src/loadtest/judge/reading.ts";
import { Sequence } from "../../src/loadtest/judge/sequence.ts";
import { addReading, emptyVerdict, sumVerdicts } from "../../src/loadtest/judge/verdict.ts";
import { seeded, shuffle } from "../../src/loadtest/random.ts";

/** Publications 1 to `count`, sent at 101, 102, …; the house confirmed all but those named. */
const ledgerOf = (count: number, unconfirmed: number[] = [], outOfTurn: number[] = []): ChannelLedger => ({
  sentAt: Array.from({ length: count }, (_, index) => 101 + index),
  unconfirmed: new Set(unconfirmed),
  outOfTurn: new Set(outOfTurn),
});

const epoch = "e";

/** A reader from the beginning that was sent these numbers, each at the place of the same number. */
function readerOf(numbers: readonly number[]): Reading {
  const reading = new Reading();
  reading.begin(100, { epoch, offset: 0 });
  for (const number of numbers) reading.take({ place: { epoch, offset: number }, number });
  return reading;
}

const clean = { lost: 0, told: 0, repeated: 0, reordered: 0, doubled: 0, holes: 0 };

describe("a reader of a house that numbers", () => {
  test("who got everything once and in order has nothing to complain of", () => {
    expect(readerOf([1, 2, 3, 4]).judge(ledgerOf(4))).toEqual({ ...clean, owed: 4, arrived: 4 });
  });

  test("finds what is lost in the middle, which is a hole, and at the end, which is none", () => {
    expect(readerOf([1, 2, 5, 6]).judge(ledgerOf(8))).toEqual({ ...clean, owed: 8, arrived: 4, lost: 4, holes: 2 });
  });

  test("finds a repeat", () => {
    expect(readerOf([1, 2, 2, 3, 1]).judge(ledgerOf(3))).toMatchObject({ repeated: 2, lost: 0, reordered: 0 });
  });

  test("finds what comes behind later ones", () => {
    expect(readerOf([1, 3, 2, 4]).judge(ledgerOf(4))).toMatchObject({ reordered: 1, lost: 0, repeated: 0, holes: 0 });
  });

  test("finds a publication that stands twice", () => {
    const reading = readerOf([1, 2]);

    reading.take({ place: { epoch, offset: 3 }, number: 2 });

    expect(reading.judge(ledgerOf(2))).toMatchObject({ doubled: 1, repeated: 0 });
  });

  test("finds an order that is the house's, but not the publisher's", () => {
    const reading = readerOf([1]);
    reading.take({ place: { epoch, offset: 2 }, number: 3 });
    reading.take({ place: { epoch, offset: 3 }, number: 2 });

    expect(reading.judge(ledgerOf(3))).toMatchObject({ reordered: 1, lost: 0, holes: 0 });
    expect(reading.judge(ledgerOf(3, [], [2]))).toMatchObject({ reordered: 0 });
  });

  test("is owed nothing that nobody confirmed, and nothing sent before it read", () => {
    const reading = new Reading();
    reading.begin(103, { epoch, offset: 2 });
    reading.take({ place: { epoch, offset: 3 }, number: 3 });

    expect(reading.judge(ledgerOf(5, [4, 5]))).toEqual({ ...clean, owed: 1, arrived: 1 });
  });

  test("that was told of a loss has lost it, and has no hole", () => {
    const reading = readerOf([1, 2]);
    reading.tell(105, { epoch, offset: 4 });
    reading.take({ place: { epoch, offset: 5 }, number: 5 });

    expect(reading.judge(ledgerOf(5))).toEqual({ ...clean, owed: 5, arrived: 3, lost: 2, told: 2 });
  });

  test("that loses more after it was told was not told of that", () => {
    const reading = readerOf([1]);
    reading.tell(103, { epoch, offset: 2 });
    reading.take({ place: { epoch, offset: 3 }, number: 3 });

    expect(reading.judge(ledgerOf(4))).toMatchObject({ lost: 2, told: 1 });
  });

  test("sees a hole where the epoch changes and nobody says so", () => {
    const reading = readerOf([1, 2]);
    reading.take({ place: { epoch: "another", offset: 1 }, number: 3 });

    expect(reading.judge(ledgerOf(3))).toMatchObject({ holes: 1, lost: 0 });
  });

  test("crosses into the next generation of a log without a hole, and sees one it skipped on the way", () => {
    const reading = readerOf([1, 2]);
    reading.take({ place: { epoch: "next", offset: 3 }, number: 3 });
    expect(reading.judge(ledgerOf(3))).toEqual({ ...clean, owed: 3, arrived: 3 });

    reading.take({ place: { epoch: "after that", offset: 5 }, number: 5 });
    expect(reading.judge(ledgerOf(5))).toMatchObject({ holes: 1, lost: 1 });
  });

  test("that never began is owed nothing", () => {
    expect(new Reading().judge(ledgerOf(3))).toEqual({ ...clean, owed: 0, arrived: 0 });
  });
});

test("without places the publisher's numbers say it all", () => {
  const reading = new Reading();
  reading.begin(100);
  for (const number of [1, 2, 2, 5, 4, 6]) reading.take({ number });

  expect(reading.judge(ledgerOf(6))).toEqual({ ...clean, owed: 6, arrived: 5, lost: 1, repeated: 1, reordered: 1 });
});

test("a sequence agrees with a plain set, whatever comes in whatever order", () => {
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
      const fit = sequence.take(number);
      expect(fit === "repeated").toBe(seen.has(number));
      seen.add(number);
    }

    const absent = all.filter((number) => !seen.has(number)).toSorted((a, b) => a - b);
    expect([...sequence.absent(1, count)]).toEqual(absent);
    expect(sequence.missing).toBe(absent.filter((number) => number < sequence.last).length);
    expect(all.every((number) => sequence.has(number) === seen.has(number))).toBe(true);
  }
});

test("a ledger survives its way between processes, and finds what was sent from a moment on", () => {
  const ledger = ledgerOf(5, [2], [3]);

  expect(fromParts(JSON.parse(JSON.stringify(toParts(new Map([["c", ledger]])))))).toEqual(new Map([["c", ledger]]));
  expect([100, 101, 103.5, 105, 106].map((moment) => firstSentFrom(ledger, moment))).toEqual([1, 1, 4, 5, 6]);
});

test("verdicts add up over readers and workers, and keep examples of what is wrong", () => {
  const [one, other] = [emptyVerdict(), emptyVerdict()];
  addReading(one, "first", readerOf([1, 2]).judge(ledgerOf(2)), true);
  addReading(other, "second", readerOf([2]).judge(ledgerOf(2)), true);
  addReading(other, "third", new Reading().judge(ledgerOf(2)), false);

  const sum = sumVerdicts([one, other]);

  expect(sum).toMatchObject({ readings: 3, unread: 1, owed: 4, arrived: 3, lost: 1, holes: 1 });
  expect(sum.examples).toEqual(["second: 1 lost, 1 holes"]);
});
