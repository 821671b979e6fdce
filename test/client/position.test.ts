import { describe, expect, it } from "vitest";
import { continuityOf, mergeAnswer } from "../../src/client/position.ts";
import { whole } from "./support.ts";
import type { SubscribeAnswer, WirePublication } from "../../src/protocol/wire.ts";

const publication = (offset: number, epoch = "a"): WirePublication => ({
  channel: "chat:lobby",
  epoch,
  offset,
  event: "said",
  data: offset,
  publishedAt: 0,
});

const range = (from: number, to: number, epoch = "a"): WirePublication[] =>
  Array.from({ length: Math.max(to - from + 1, 0) }, (_, index) => publication(from + index, epoch));

const answer = (offset: number, recovered: boolean, publications: WirePublication[] = []): SubscribeAnswer => ({
  channel: "chat:lobby",
  epoch: "a",
  offset,
  recovered,
  publications,
});

const offsets = (publications: readonly { offset: number }[]): number[] => publications.map(({ offset }) => offset);

describe("the relation of a publication to a position", () => {
  it.each([
    [5, "a", "repeat"],
    [4, "a", "repeat"],
    [6, "a", "next"],
    [7, "a", "gap"],
    [6, "b", "gap"],
    [1, "b", "gap"],
  ])("offset %i of epoch %s behind a:5 is a %s", (offset, epoch, expected) => {
    expect(continuityOf({ epoch: "a", offset: 5 }, { epoch, offset })).toBe(expected);
  });

  it("may skip offsets in a conflated channel, and nothing else", () => {
    const behind = (offset: number, epoch = "a") => continuityOf({ epoch: "a", offset: 5 }, { epoch, offset }, true);

    expect([behind(5), behind(9), behind(9, "b")]).toEqual(["repeat", "next", "gap"]);
  });
});

it("takes what came early for whole where the answer says that the channel conflates", () => {
  const early = [publication(8), publication(11)];

  expect(mergeAnswer(undefined, { ...answer(5, false), conflated: true }, early)).toMatchObject({
    live: early,
    isWhole: true,
  });
  expect(mergeAnswer(undefined, answer(5, false), early)).toMatchObject({ live: [], isWhole: false });
});

describe("an answer merged with publications that arrived before it", () => {
  it("starts at the channel's current position on a first subscription", () => {
    const merged = mergeAnswer(undefined, answer(7, false), [publication(7), publication(8), publication(9)]);

    expect(merged.start).toEqual({ epoch: "a", offset: 7 });
    expect([merged.missed, offsets(merged.live), merged.isWhole]).toEqual([[], [8, 9], true]);
  });

  it("puts missed publications before live ones, each once", () => {
    const merged = mergeAnswer({ epoch: "a", offset: 3 }, answer(6, true, range(4, 6)), range(5, 8));

    expect([offsets(merged.missed), offsets(merged.live), merged.isWhole]).toEqual([[4, 5, 6], [7, 8], true]);
  });

  it("drops publications that the reader already had", () => {
    const merged = mergeAnswer({ epoch: "a", offset: 5 }, answer(6, true, range(2, 6)), []);

    expect(offsets(merged.missed)).toEqual([6]);
  });

  it("keeps nothing after a gap and reports it", () => {
    const merged = mergeAnswer({ epoch: "a", offset: 3 }, answer(4, true, range(4, 4)), [
      publication(6),
      publication(7),
    ]);

    expect([offsets(merged.missed), merged.live, merged.isWhole]).toEqual([[4], [], false]);
  });

  it("notices an answer that ends before its own position", () => {
    const merged = mergeAnswer({ epoch: "a", offset: 3 }, answer(9, true, range(4, 5)), range(6, 9));

    expect([offsets(merged.missed), merged.live, merged.isWhole]).toEqual([[4, 5], [], false]);
  });

  it("notices a publication of another epoch", () => {
    const merged = mergeAnswer({ epoch: "a", offset: 3 }, answer(4, true, range(4, 4)), [publication(1, "b")]);

    expect([offsets(merged.missed), merged.isWhole]).toEqual([[4], false]);
  });

  it("starts at the current position if nothing was recovered, dropping earlier publications", () => {
    const merged = mergeAnswer({ epoch: "z", offset: 90 }, answer(2, false), range(1, 4));

    expect(merged.start).toEqual({ epoch: "a", offset: 2 });
    expect([merged.missed, offsets(merged.live), merged.isWhole]).toEqual([[], [3, 4], true]);
  });

  it("never repeats, reorders or skips, whatever the overlap", () => {
    for (let seed = 0; seed < 2_000; seed += 1) {
      const random = whole(seed);
      const since = random(20);
      const present = since + random(10);
      const end = present + random(5);
      const early = range(since + 1 + random(12), end).filter(() => random(20) > 0);
      const merged = mergeAnswer(
        { epoch: "a", offset: since },
        answer(present, true, range(since + 1, present)),
        early,
      );

      const seen = offsets([...merged.missed, ...merged.live]);
      expect(seen).toEqual(offsets(range(since + 1, since + seen.length)));
      expect(seen.length).toBeGreaterThanOrEqual(present - since);
      const last = early.at(-1)?.offset ?? 0;
      if (merged.isWhole) expect(since + seen.length).toBeGreaterThanOrEqual(last);
    }
  });
});
