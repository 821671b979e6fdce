import { describe, expect, it } from "vitest";
import {
  diffJson,
  diffTop,
  isEmpty,
  parseTop,
  toEntries,
  topJson,
  type TopEntry,
} from "../../src/leaderboards/diff.ts";
import { applyDiff, type BoardDiff, type BoardSnapshot } from "../../src/protocol/board.ts";
import { seeded } from "../support/random.ts";

describe("the difference between two tops", () => {
  it("leads from any top to any other, over the wire, in 2,000 random walks", () => {
    const random = seeded(5);
    for (let walk = 0; walk < 200; walk += 1) {
      let known: BoardSnapshot = { board: "b", revision: 0, total: 0, entries: [] };
      let before: TopEntry[] = [];
      for (let revision = 1; revision <= 10; revision += 1) {
        const after = randomTop(random);
        known = applyDiff(known, JSON.parse(diffJson("b", revision, 9, diffTop(before, after))) as BoardDiff);

        expect(known).toEqual({ board: "b", revision, total: 9, entries: toEntries(after) });
        before = parseTop(topJson(after));
        expect(before).toEqual(after);
      }
    }
  });

  it("is empty where nothing moved", () => {
    const top = [entry("a", 3), entry("b", 2, '{"name":"Bo"}')];

    expect(isEmpty(diffTop(top, structuredClone(top)))).toBe(true);
  });

  it("names only what is no longer as it was", () => {
    const before = [entry("a", 5), entry("b", 4), entry("c", 3), entry("d", 2)];
    const after = [entry("b", 6), entry("a", 5), entry("c", 3), entry("e", 3)];

    expect(diffTop(before, after)).toEqual({
      changes: [
        { ...entry("b", 6), rank: 1, previousRank: 2 },
        { ...entry("a", 5), rank: 2, previousRank: 1 },
        { ...entry("e", 3), rank: 4, previousRank: null },
      ],
      removed: ["d"],
    });
  });

  it("tells data that came, changed and went although nobody moved", () => {
    const steps = [undefined, '{"name":"A"}', '{"name":"B"}', undefined].map((data) => [entry("a", 1, data)]);

    for (const [index, after] of steps.entries()) {
      const before = steps[index - 1] ?? [];
      expect(diffTop(before, after).changes).toHaveLength(1);
    }
  });

  it("keeps members whose names are traps for objects", () => {
    const after = ["__proto__", "constructor", "1", "0"].map((member, index) => entry(member, index));
    const known = applyDiff(
      { board: "b", revision: 0, total: 0, entries: [] },
      JSON.parse(diffJson("b", 1, 4, diffTop([], after))) as BoardDiff,
    );

    expect(known.entries.map(({ member }) => member)).toEqual(["__proto__", "constructor", "1", "0"]);
  });
});

const entry = (member: string, score: number, data?: string): TopEntry => ({ member, score, data });

/** Up to eight of twelve members, each with a score of few and sometimes data. */
function randomTop(random: () => number): TopEntry[] {
  const members = Array.from({ length: 12 }, (_, index) => `m${index}`).toSorted(() => random() - 0.5);
  return members
    .slice(0, Math.floor(random() * 9))
    .map((member) =>
      entry(member, Math.floor(random() * 3), random() < 0.3 ? `{"n":${Math.floor(random() * 2)}}` : undefined),
    )
    .toSorted((a, b) => b.score - a.score);
}
