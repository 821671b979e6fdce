import { describe, expect, it } from "vitest";
import { startBoards } from "./board-node.ts";
import { seeded } from "../support/random.ts";

/** What a board must be, the slow way: a list in the order in which scores were reached, sorted stably. */
class ModelBoard {
  #rows: { member: string; score: number }[] = [];
  readonly #isDesc: boolean;

  constructor(order: "desc" | "asc") {
    this.#isDesc = order === "desc";
  }

  submit(member: string, score: number): void {
    const known = this.#rows.find((row) => row.member === member);
    if (known?.score === score) return;
    this.#rows = [...this.#rows.filter((row) => row !== known), { member, score }];
  }

  remove(member: string): void {
    this.#rows = this.#rows.filter((row) => row.member !== member);
  }

  ranking(): { member: string; score: number }[] {
    return this.#rows.toSorted((a, b) => (this.#isDesc ? b.score - a.score : a.score - b.score));
  }
}

const scoresWithTies = {
  "few whole numbers": [0, 1, 2],
  "negative numbers and zero": [-3, -2, -1, 0, -0],
  "neighbours that only the last bit tells apart": [0.1, 0.1 + Number.EPSILON / 8, 0.30000000000000004, 0.3],
  "whole numbers at the edge of precision": [2 ** 53 - 1, 2 ** 53 - 2, -(2 ** 53) + 1],
  "the greatest and the smallest": [Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, 1e-310],
};

describe.each(["desc", "asc"] as const)("ties on a board in order %s", (order) => {
  it.each(Object.entries(scoresWithTies))("go to whoever reached the score first: %s", async (_name, scores) => {
    const { leaderboards } = await startBoards({ "*": { order, mode: "last" } });
    const model = new ModelBoard(order);
    const random = seeded(scores.length);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const members = Array.from({ length: 40 }, (_, index) => `m${(index * 7) % 40}`);

    for (let round = 0; round < 8; round += 1) {
      // A batch is taken within one or two milliseconds, most of it within the same.
      const batch = Array.from({ length: 60 }, () => ({ member: pick(members), score: pick(scores) }));
      const gone = pick(members);
      await leaderboards.submitMany("b", batch);
      await leaderboards.remove("b", gone);
      for (const { member, score } of batch) model.submit(member, score + 0);
      model.remove(gone);

      const { entries, total } = await leaderboards.top("b", { limit: 100 });
      const ranking = model.ranking();
      expect(entries.map(({ member, score }) => ({ member, score }))).toEqual(ranking);
      expect(entries.map(({ rank }) => rank)).toEqual(ranking.map((_, index) => index + 1));
      expect(total).toBe(ranking.length);
    }

    for (const [index, { member }] of model.ranking().entries()) {
      expect((await leaderboards.around("b", member, 0)).entry?.rank).toBe(index + 1);
    }
  });

  it("keep the place of one who submits the same score again, in every mode", async () => {
    const { leaderboards } = await startBoards({ "*": { order } });
    for (const member of ["first", "second"]) await leaderboards.submit("b", { member, score: 7 });

    await leaderboards.submit("b", { member: "first", score: 7, mode: "last" });
    await leaderboards.submit("b", { member: "first", score: 0, mode: "increment" });
    const again = await leaderboards.submit("b", { member: "first", score: 7, mode: "best" });

    expect(again).toEqual({ board: "b", member: "first", score: 7, rank: 1, previousRank: 1, total: 2 });
  });

  it("put one behind who leaves a score and comes back to it", async () => {
    const { leaderboards } = await startBoards({ "*": { order, mode: "last" } });
    for (const member of ["first", "second"]) await leaderboards.submit("b", { member, score: 7 });

    await leaderboards.submit("b", { member: "first", score: 6 });
    const back = await leaderboards.submit("b", { member: "first", score: 7 });

    expect(back.rank).toBe(2);
  });

  it("are told apart by order of arrival however the members are named", async () => {
    const { leaderboards } = await startBoards({ "*": { order } });
    const members = ["z", "a", "{b}", "*", "M", "ü", "zz", "~", "0", "a:b", "\u{1F600}"];
    for (const member of members) await leaderboards.submit("b", { member, score: -1.5 });

    const { entries } = await leaderboards.top("b", { limit: 100 });

    expect(entries.map(({ member }) => member)).toEqual(members);
  });
});
