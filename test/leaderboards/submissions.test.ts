import { describe, expect, it } from "vitest";
import { startBoards } from "./board-node.ts";

describe("a submission", () => {
  it("keeps the better score in mode best, for either order", async () => {
    const { leaderboards } = await startBoards({ high: { order: "desc" }, low: { order: "asc" } });
    const held = async (board: string, score: number) =>
      (await leaderboards.submit(board, { member: "m", score })).score;

    expect([await held("high", 5), await held("high", 3), await held("high", 8)]).toEqual([5, 5, 8]);
    expect([await held("low", 5), await held("low", 3), await held("low", 8)]).toEqual([5, 3, 3]);
  });

  it("replaces in mode last and adds in mode increment, whatever the board's own mode", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "best" } });
    await leaderboards.submit("b", { member: "m", score: 10 });

    expect((await leaderboards.submit("b", { member: "m", score: 4, mode: "last" })).score).toBe(4);
    expect((await leaderboards.submit("b", { member: "m", score: -6.5, mode: "increment" })).score).toBe(-2.5);
  });

  it("tells the rank, the one before and how many there are", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "last" } });
    for (const [member, score] of [
      ["a", 1],
      ["b", 2],
    ] as const)
      await leaderboards.submit("board", { member, score });

    const first = await leaderboards.submit("board", { member: "c", score: 3 });
    const fallen = await leaderboards.submit("board", { member: "c", score: 0 });

    expect(first).toEqual({ board: "board", member: "c", score: 3, rank: 1, previousRank: null, total: 3 });
    expect(fallen).toEqual({ board: "board", member: "c", score: 0, rank: 3, previousRank: 1, total: 3 });
  });

  it("gives every score back as the very double it was", async () => {
    const { leaderboards } = await startBoards();
    const scores = [0.1, 1 / 3, 123456789.12345679, 2 ** 53 - 1, 1e21, -1e-7, 1e308, Number.MAX_VALUE, 5e-324, -0];

    for (const [index, score] of scores.entries()) await leaderboards.submit("b", { member: `m${index}`, score });
    const { entries } = await leaderboards.top("b", { limit: 100 });

    const kept = Object.fromEntries(entries.map(({ member, score }) => [member, score]));
    for (const [index, score] of scores.entries()) expect(kept[`m${index}`]).toBe(score + 0);
  });

  it("adds as doubles add", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "increment" } });
    let sum = 0;
    for (const score of [0.1, 0.2, 1e15, -1e15, 1e-17, 3]) {
      sum += score;
      expect((await leaderboards.submit("b", { member: "m", score })).score).toBe(sum);
    }
  });

  it("counts 200 parallel increments of one member exactly", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "increment" } });

    const answers = await Promise.all(
      Array.from({ length: 200 }, () => leaderboards.submit("b", { member: "m", score: 1 })),
    );

    expect(answers.map(({ score }) => score).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 200 }, (_, index) => index + 1),
    );
  });

  it("that would overflow is refused by name and changes nothing", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "increment" } });
    for (const [member, score] of [
      ["up", 1e308],
      ["down", -1e308],
    ] as const) {
      await leaderboards.submit("b", { member, score });
      await expect(leaderboards.submit("b", { member, score: score * 1.5, data: '"x"' })).rejects.toMatchObject({
        code: "bad_request",
        field: "score",
      });
    }

    const { entries } = await leaderboards.top("b");

    expect(entries.map(({ member, score, data }) => [member, score, data])).toEqual([
      ["up", 1e308, undefined],
      ["down", -1e308, undefined],
    ]);
  });

  it("that would lose a digit of a whole number is refused by name and changes nothing", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "increment" } });
    await leaderboards.submit("b", { member: "m", score: 2 ** 53 - 1 });

    expect(await leaderboards.submit("b", { member: "m", score: 1 })).toMatchObject({ score: 2 ** 53 });
    await expect(leaderboards.submit("b", { member: "m", score: 1 })).rejects.toMatchObject({
      code: "bad_request",
      field: "score",
    });
    expect(await leaderboards.submit("b", { member: "m", score: 2 })).toMatchObject({ score: 2 ** 53 + 2 });
    expect(await leaderboards.submit("b", { member: "m", score: -1.5 })).toMatchObject({ score: 2 ** 53 });
  });

  it("with a score that is no finite number is refused by name", async () => {
    const { leaderboards } = await startBoards();

    for (const score of [Number.NaN, Infinity, -Infinity, "7" as unknown as number]) {
      await expect(leaderboards.submit("b", { member: "m", score })).rejects.toMatchObject({
        code: "bad_request",
        field: "score",
      });
    }
    expect((await leaderboards.top("b")).total).toBe(0);
  });

  it("keeps data beside the score until it is replaced or forgotten", async () => {
    const { leaderboards } = await startBoards();
    const dataAfter = async (data: string | undefined, score = 1) => {
      await leaderboards.submit("b", { member: "m", score, data });
      return (await leaderboards.top("b")).entries[0]?.data;
    };

    expect(await dataAfter('{"name":"Ada"}')).toEqual({ name: "Ada" });
    expect(await dataAfter(undefined, 2)).toEqual({ name: "Ada" });
    expect(await dataAfter('{"name":"Bo"}', 0)).toEqual({ name: "Bo" });
    expect(await dataAfter("null")).toBeUndefined();
  });

  it("with more than 1024 bytes of data is refused by name", async () => {
    const { leaderboards } = await startBoards();
    const data = JSON.stringify("ü".repeat(512));

    await expect(leaderboards.submit("b", { member: "m", score: 1, data })).rejects.toMatchObject({
      code: "payload_too_large",
      field: "data",
    });
  });

  it("to a board nobody configured is not found, and to the rest goes by the rule for any other", async () => {
    const { leaderboards } = await startBoards({ known: {} });
    const { leaderboards: open } = await startBoards({ known: {}, "*": { order: "asc" } });

    for (const board of ["other", "__proto__", "*x"]) {
      await expect(leaderboards.submit(board, { member: "m", score: 1 })).rejects.toMatchObject({ code: "not_found" });
      expect((await open.submit(board, { member: "m", score: 1 })).rank).toBe(1);
    }
  });

  it("by a client goes under its own name, and only where the board takes it", async () => {
    const { leaderboards } = await startBoards({ open: { clientWrites: true }, closed: {} });

    expect(await leaderboards.submitAs("ada", "open", 3)).toMatchObject({ member: "ada", rank: 1 });
    await expect(leaderboards.submitAs("ada", "closed", 3)).rejects.toMatchObject({ code: "forbidden" });
  });
});

describe("a batch", () => {
  it("is taken in order, and tells ranks after it and before it", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "last" } });
    await leaderboards.submit("b", { member: "old", score: 5 });

    const results = await leaderboards.submitMany("b", [
      { member: "x", score: 9 },
      { member: "old", score: 1, mode: "increment" },
      { member: "x", score: 6 },
    ]);

    expect(results).toEqual([
      { member: "x", score: 6, rank: 2, previousRank: null },
      { member: "old", score: 6, rank: 1, previousRank: 1 },
      { member: "x", score: 6, rank: 2, previousRank: null },
    ]);
  });

  it("keeps what is good of it where something is wrong", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "increment" } });

    const results = await leaderboards.submitMany("b", [
      { member: "nan", score: Number.NaN },
      { member: "big", score: Number.MAX_VALUE },
      { member: "big", score: Number.MAX_VALUE },
      { member: "fat", score: 1, data: `"${"x".repeat(1_023)}"` },
      { member: "good", score: 1 },
    ]);

    const told = results.map((result) => ("code" in result ? result.field : result.score));
    expect(told).toEqual(["score", Number.MAX_VALUE, "score", "data", 1]);
    expect((await leaderboards.top("b")).total).toBe(2);
  });

  it("of a thousand leaves the same board with and without ranks", async () => {
    const { leaderboards } = await startBoards();
    const scores = Array.from({ length: 1_000 }, (_, index) => ({ member: `m${index}`, score: (index * 37) % 101 }));

    const ranked = await leaderboards.submitMany("ranked", scores);
    const plain = await leaderboards.submitMany("plain", scores, { withRanks: false });

    const range = { limit: 1_000 };
    const [a, b] = [await leaderboards.top("ranked", range), await leaderboards.top("plain", range)];
    expect(a.entries.map(({ member }) => member)).toEqual(b.entries.map(({ member }) => member));
    expect(plain.every((result) => "rank" in result && result.rank === null && result.previousRank === null)).toBe(
      true,
    );
    const taken = scores.slice(0, 100);
    for (const [index, { score }] of taken.entries()) {
      const before = taken.filter((other, at) => other.score > score || (other.score === score && at < index)).length;
      expect(ranked[index]).toMatchObject({ rank: before + 1, previousRank: null });
    }
  });
});

describe("reading a board", () => {
  it("goes in pages, with the time at which each score was reached", async () => {
    const { leaderboards } = await startBoards({ "*": { top: 3 } });
    const before = Date.now();
    for (let index = 0; index < 10; index += 1) await leaderboards.submit("b", { member: `m${index}`, score: index });

    const top = await leaderboards.top("b");
    const page = await leaderboards.top("b", { start: 8, limit: 5 });

    expect(top).toMatchObject({ board: "b", season: null, revision: 0, total: 10 });
    expect(top.entries.map(({ rank, member }) => [rank, member])).toEqual([
      [1, "m9"],
      [2, "m8"],
      [3, "m7"],
    ]);
    expect(page.entries.map(({ rank, member, score }) => [rank, member, score])).toEqual([
      [9, "m1", 1],
      [10, "m0", 0],
    ]);
    for (const { updatedAt } of [...top.entries, ...page.entries]) {
      expect(updatedAt).toBeGreaterThanOrEqual(before - 1);
      expect(updatedAt).toBeLessThanOrEqual(Date.now() + 1);
    }
    expect((await leaderboards.top("b", { start: 10 })).entries).toEqual([]);
  });

  it("finds a member and those around it, at the edges too", async () => {
    const { leaderboards } = await startBoards();
    for (let index = 0; index < 10; index += 1) await leaderboards.submit("b", { member: `m${index}`, score: -index });
    const ranks = async (member: string, radius?: number) => {
      const { entry, entries } = await leaderboards.around("b", member, radius);
      return [entry?.rank, entries.map(({ rank }) => rank)];
    };

    expect(await ranks("m4", 2)).toEqual([5, [3, 4, 5, 6, 7]]);
    expect(await ranks("m0", 2)).toEqual([1, [1, 2, 3]]);
    expect(await ranks("m9", 0)).toEqual([10, [10]]);
    expect(await ranks("m5")).toEqual([6, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]]);
    expect(await leaderboards.around("b", "nobody")).toEqual({ board: "b", total: 10, entry: null, entries: [] });
  });

  it("no longer shows who was removed, data and all", async () => {
    const { leaderboards, commands, keys } = await startBoards();
    await leaderboards.submit("b", { member: "a", score: 2, data: '"d"' });
    await leaderboards.submit("b", { member: "b", score: 1 });

    expect([await leaderboards.remove("b", "a"), await leaderboards.remove("b", "a")]).toEqual([true, false]);

    expect((await leaderboards.top("b")).entries.map(({ rank, member }) => [rank, member])).toEqual([[1, "b"]]);
    expect((await leaderboards.submit("b", { member: "a", score: 3 })).previousRank).toBeNull();
    expect(await commands.exists(keys.boardData("b", null))).toBe(0);
  });
});
