import { describe, expect, it } from "vitest";
import { calendarOf, type Calendar } from "../../src/leaderboards/seasons.ts";
import type { OwnRank, RankChange, SeasonChange } from "../../src/protocol/board.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { reader, recordingSubscriber } from "../support/nodes.ts";
import { promised, timed, within } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { shortSeasons, startBoardNode, startBoards, viewBoard, withinSeason } from "./board-node.ts";

describe("the turn of a season", () => {
  it("loses and doubles no score, with three nodes writing through it", async () => {
    const [prefix, calendar] = [freshPrefix(), shortSeasons(400)];
    const boards = { "*": { season: "daily", mode: "increment" } } as const;
    const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards, calendar })));
    let submitted = 0;
    let isOver = false;

    const writers = nodes.map(async ({ leaderboards }, index) => {
      while (!isOver) {
        await leaderboards.submit("b", { member: `m${index}`, score: 1 });
        submitted += 1;
      }
    });
    const sums = async (): Promise<number[]> => {
      const { seasons } = await nodes[0]!.leaderboards.seasons("b");
      const pages = seasons.map(({ season }) => nodes[0]!.leaderboards.top("b", { season }));
      const found = (await Promise.all(pages)).map(({ entries }) => entries.reduce((sum, { score }) => sum + score, 0));
      return found.filter((sum) => sum > 0);
    };
    await eventually(async () => expect((await sums()).length).toBeGreaterThanOrEqual(4));
    isOver = true;
    await Promise.all(writers);

    expect((await sums()).reduce((sum, part) => sum + part, 0)).toBe(submitted);
  });

  it("is told once to every subscriber, and empties the board, though nobody submits", timed, async () => {
    const [prefix, calendar] = [freshPrefix(), shortSeasons(2_500)];
    const boards = { "*": { season: "daily" } } as const;
    const nodes = await Promise.all([1, 2].map(() => startBoardNode({ prefix, boards, calendar })));
    const { old, board, viewers } = await withinSeason(calendar, async (season) => {
      const name = `b-${season.id}`;
      await nodes[0]!.leaderboards.submit(name, { member: "a", score: 7 });
      const views = await Promise.all(nodes.map((node) => viewBoard(node, name)));
      expect(views.map((viewer) => viewer.board().entries.length)).toEqual([1, 1]);
      return { old: season, board: name, viewers: views };
    });

    await eventually(() => viewers.forEach((viewer) => expect(viewer.board().entries).toEqual([])));
    await nodes[1]!.leaderboards.submit(board, { member: "a", score: 3 });
    await eventually(() => viewers.forEach((viewer) => expect(viewer.board().entries[0]?.score).toBe(3)));

    const next = calendar.at(old.endsAt);
    const turn: SeasonChange = {
      board,
      season: next.id as string,
      previousSeason: old.id as string,
      startsAt: next.startsAt,
      endsAt: next.endsAt,
    };
    for (const { publications } of viewers) {
      // A snapshot taken while the other node publishes is older than its diff, which then comes first.
      const [told, diff] = publications.slice(publications.findIndex(({ event }) => event === "leaderboard.season"));
      expect([told?.event, diff?.event]).toEqual(["leaderboard.season", "leaderboard.diff"]);
      expect(told?.data).toEqual(turn);
      expect(told!.publishedAt).toBeGreaterThanOrEqual(next.startsAt);
      expect(told!.publishedAt - next.startsAt).toBeLessThan(promised(2_000));
      // On a slow machine the next season has turned as well.
      expect(publications.filter(({ data }) => (data as Partial<SeasonChange>).season === turn.season)).toHaveLength(1);
    }
  });

  it("is reported although the board published just before and has no subscribers any more", async () => {
    let boundary = Date.now() + 86_400_000;
    const calendar: Calendar = {
      at: (moment) =>
        moment < boundary
          ? { id: "old", startsAt: 1, endsAt: boundary }
          : { id: "new", startsAt: boundary, endsAt: boundary + 86_400_000 },
      named: () => undefined,
    };
    const reported: SeasonChange[] = [];
    const { leaderboards, commands, keys } = await startBoardNode({
      calendar,
      boards: { "*": { season: "daily", tickMs: 2_500 } },
      notifySeason: async ({ data }) => void reported.push(data),
    });
    await leaderboards.submit("b", { member: "a", score: 1 });
    await leaderboards.boardSnapshot("leaderboard:b");

    boundary = Date.now();
    await commands.zadd(keys.dueBoards(), 0, "b");

    await eventually(() => expect(reported.map(({ season }) => season)).toEqual(["new"]));
  });

  it("is told even where the board was empty", async () => {
    const calendar = shortSeasons(700);
    const node = await startBoardNode({ boards: { "*": { season: "weekly" } }, calendar });

    const viewer = await viewBoard(node, "b");

    await eventually(() => expect(viewer.publications.length).toBeGreaterThanOrEqual(2));
    expect(new Set(viewer.publications.map(({ event }) => event))).toEqual(new Set(["leaderboard.season"]));
    const seasons = viewer.publications.map(({ data }) => (data as SeasonChange).season);
    expect(seasons).toEqual([...new Set(seasons)]);
  });

  it("takes everybody's rank", async () => {
    const calendar = shortSeasons(800);
    const node = await startBoardNode({ boards: { "*": { season: "daily" } }, calendar });
    const { board, subscriber } = await withinSeason(calendar, async ({ id }) => {
      const name = `b-${id}`;
      await node.leaderboards.submit(name, { member: "ada", score: 7 });
      const recording = recordingSubscriber();
      const { snapshot } = await node.channels.subscribe(recording, reader("ada"), `rank:${name}:ada`);
      expect((snapshot as OwnRank).rank).toBe(1);
      return { board: name, subscriber: recording };
    });

    await eventually(() => expect(subscriber.seen).toHaveLength(1));

    const told: RankChange = { board, member: "ada", rank: null, previousRank: 1, score: null, total: 0 };
    expect(subscriber.seen[0]?.data).toEqual(told);
  });

  it("leaves the past season to be read, by its name, until its archive ends", async () => {
    const calendar = shortSeasons(400);
    const archiveTtlSeconds = 2;
    const boards = { "*": { season: "daily", archiveTtlSeconds } } as const;
    const { leaderboards, commands, keys } = await startBoardNode({ boards, calendar });
    const { board, season } = await within(archiveTtlSeconds * 1_000, async () => {
      const past = await withinSeason(calendar, async ({ id, endsAt }) => {
        const name = `b-${id}`;
        await leaderboards.submit(name, { member: "a", score: 7, data: '"d"' });
        const { entries } = await leaderboards.top(name);
        return { board: name, season: id as string, endsAt, entries };
      });
      const { board: name, season: of, entries } = past;
      await eventually(async () => expect((await leaderboards.top(name)).season).not.toBe(of));
      await leaderboards.submit(name, { member: "b", score: 9 });

      expect(await leaderboards.top(name, { season: of })).toMatchObject({ season: of, total: 1, entries });
      for (const key of [keys.boardRanking(name, of), keys.boardPlaces(name, of), keys.boardData(name, of)])
        expect(await commands.expiretime(key)).toBe(Math.ceil(past.endsAt / 1_000) + archiveTtlSeconds);
      return past;
    });
    await eventually(() => expect(leaderboards.top(board, { season })).rejects.toMatchObject({ code: "not_found" }));
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
