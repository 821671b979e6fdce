import { describe, expect, it } from "vitest";
import type { Season } from "../../src/leaderboards/seasons.ts";
import { calendarOf } from "../../src/leaderboards/seasons.ts";
import type { OwnRank, RankChange, SeasonChange } from "../../src/protocol/board.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { reader, recordingSubscriber } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { shortSeasons, startBoardNode, startBoards, viewBoard } from "./board-node.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("the turn of a season", () => {
  it("loses and doubles no score, with three nodes writing through it", async () => {
    const [prefix, calendar] = [freshPrefix(), shortSeasons(400)];
    const boards = { "*": { season: "daily", mode: "increment" } } as const;
    const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards, calendar })));
    const began = Date.now();
    let submitted = 0;

    const writers = nodes.map(async ({ leaderboards }, index) => {
      while (Date.now() < began + 1_300) {
        await leaderboards.submit("b", { member: `m${index}`, score: 1 });
        submitted += 1;
      }
    });
    await Promise.all(writers);

    const sums: number[] = [];
    for (const { season } of (await nodes[0]!.leaderboards.seasons("b")).seasons) {
      const { entries } = await nodes[0]!.leaderboards.top("b", { season });
      sums.push(entries.reduce((sum, { score }) => sum + score, 0));
    }
    expect(sums.filter((sum) => sum > 0).length).toBeGreaterThanOrEqual(3);
    expect(sums.reduce((sum, part) => sum + part, 0)).toBe(submitted);
  });

  it("is told once to every subscriber, and empties the board, though nobody submits", async () => {
    const [prefix, calendar] = [freshPrefix(), shortSeasons(2_500)];
    const boards = { "*": { season: "daily" } } as const;
    const nodes = await Promise.all([1, 2].map(() => startBoardNode({ prefix, boards, calendar })));
    await pause(calendar.at(Date.now()).endsAt - Date.now() + 50);
    const old = calendar.at(Date.now());
    await nodes[0]!.leaderboards.submit("b", { member: "a", score: 7 });
    const viewers = await Promise.all(nodes.map((node) => viewBoard(node, "b")));
    expect(viewers.map((viewer) => viewer.board().entries.length)).toEqual([1, 1]);

    await eventually(() => viewers.forEach((viewer) => expect(viewer.board().entries).toEqual([])));
    await nodes[1]!.leaderboards.submit("b", { member: "a", score: 3 });
    await eventually(() => viewers.forEach((viewer) => expect(viewer.board().entries[0]?.score).toBe(3)));

    const next = calendar.at(old.endsAt);
    const turn: SeasonChange = {
      board: "b",
      season: next.id as string,
      previousSeason: old.id as string,
      startsAt: next.startsAt,
      endsAt: next.endsAt,
    };
    for (const { publications } of viewers) {
      // A snapshot taken while the other node publishes is older than its diff, which then comes first.
      const turned = publications.slice(publications.findIndex(({ event }) => event === "leaderboard.season"));
      expect(turned.map(({ event }) => event)).toEqual(["leaderboard.season", "leaderboard.diff", "leaderboard.diff"]);
      expect(turned[0]?.data).toEqual(turn);
      expect(turned[0]!.publishedAt).toBeGreaterThanOrEqual(next.startsAt);
      expect(turned[0]!.publishedAt).toBeLessThan(next.startsAt + 2_000);
    }
  });

  it("is told even where the board was empty", async () => {
    const calendar = shortSeasons(700);
    const node = await startBoardNode({ boards: { "*": { season: "weekly" } }, calendar });

    const viewer = await viewBoard(node, "b");

    await eventually(() => expect(viewer.publications.map(({ event }) => event)).toEqual(["leaderboard.season"]));
    await eventually(() => expect(viewer.publications.length).toBe(2));
  });

  it("takes everybody's rank", async () => {
    const calendar = shortSeasons(800);
    const node = await startBoardNode({ boards: { "*": { season: "daily" } }, calendar });
    await pause(calendar.at(Date.now()).endsAt - Date.now() + 20);
    await node.leaderboards.submit("b", { member: "ada", score: 7 });
    const subscriber = recordingSubscriber();
    const { snapshot } = await node.channels.subscribe(subscriber, reader("ada"), "rank:b:ada");
    expect((snapshot as OwnRank).rank).toBe(1);

    await eventually(() => expect(subscriber.seen).toHaveLength(1));

    const told: RankChange = { board: "b", member: "ada", rank: null, previousRank: 1, score: null, total: 0 };
    expect(subscriber.seen[0]?.data).toEqual(told);
  });

  it("leaves the past season to be read, by its name, until its archive ends", async () => {
    const calendar = shortSeasons(400);
    const boards = { "*": { season: "daily", archiveTtlSeconds: 1 } } as const;
    const { leaderboards, commands, keys } = await startBoardNode({ boards, calendar });
    await leaderboards.submit("b", { member: "a", score: 7, data: '"d"' });
    const { season, entries } = await leaderboards.top("b");
    const past = calendar.named(season as string) as Season;

    await eventually(async () => expect((await leaderboards.top("b")).season).not.toBe(season));
    await leaderboards.submit("b", { member: "b", score: 9 });

    expect(await leaderboards.top("b", { season: season as string })).toMatchObject({ season, total: 1, entries });
    for (const key of [keys.boardRanking("b", season), keys.boardPlaces("b", season), keys.boardData("b", season)]) {
      expect(await commands.expiretime(key)).toBe(Math.ceil(past.endsAt / 1_000) + 1);
    }
    await eventually(() =>
      expect(leaderboards.top("b", { season: season as string })).rejects.toMatchObject({ code: "not_found" }),
    );
  });

  it("is Redis' to decide: nodes whose clocks are days off write into the season of its moment", async () => {
    const boards = { "*": { season: "daily" } } as const;
    for (const skewMs of [-3 * 86_400_000, 3 * 86_400_000]) {
      const { leaderboards } = await startBoards(boards, { ...systemClock, now: () => Date.now() + skewMs });

      await leaderboards.submit("b", { member: "a", score: 1 });

      const { season, total } = await leaderboards.top("b");
      expect([season, total]).toEqual([calendarOf("daily").at(Date.now()).id, 1]);
    }
  });

  it("never goes back, even where Redis' clock does", async () => {
    const { leaderboards, commands, keys } = await startBoards({ "*": { season: "daily" } });
    const tomorrow = calendarOf("daily").at(Date.now() + 86_400_000);
    await commands.hset(keys.boardState("b"), "season", String(tomorrow.startsAt));

    await leaderboards.submit("b", { member: "a", score: 1 });

    expect(await leaderboards.top("b")).toMatchObject({ season: tomorrow.id, total: 1 });
    expect((await leaderboards.top("b", { season: calendarOf("daily").at(Date.now()).id as string })).total).toBe(0);
  });

  it("has only names that seasons bear", async () => {
    const { leaderboards } = await startBoards({ daily: { season: "daily" }, ever: {} });

    for (const [board, season] of [
      ["daily", "2026-02-30"],
      ["daily", "x}:ranking"],
      ["ever", "2026-02-03"],
    ] as const) {
      await expect(leaderboards.top(board, { season })).rejects.toMatchObject({ code: "not_found", field: "season" });
    }
  });
});
