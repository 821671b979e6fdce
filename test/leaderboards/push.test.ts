import { describe, expect, it } from "vitest";
import type { OwnRank, RankChange } from "../../src/protocol/board.ts";
import { reader, recordingSubscriber } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { startBoardNode, viewBoard, type BoardNode } from "./board-node.ts";

const submitAll = (node: BoardNode, board: string, scores: Record<string, number>) =>
  node.leaderboards.submitMany(
    board,
    Object.entries(scores).map(([member, score]) => ({ member, score })),
  );

describe("a subscriber of a board", () => {
  it("is given the top and its revision, then one diff for many scores of a tick", async () => {
    const node = await startBoardNode({ boards: { daily: { top: 2, mode: "last" } } });
    await submitAll(node, "daily", { a: 1, b: 2, c: 3 });
    const viewer = await viewBoard(node, "daily");
    expect(viewer.board()).toEqual({
      board: "daily",
      revision: 1,
      total: 3,
      entries: [
        { rank: 1, member: "c", score: 3 },
        { rank: 2, member: "b", score: 2 },
      ],
    });

    await submitAll(node, "daily", { a: 9, b: 8, d: 7, e: 6 });
    await eventually(() => expect(viewer.publications).toHaveLength(1));

    expect(viewer.publications[0]).toMatchObject({
      channel: "leaderboard:daily",
      event: "leaderboard.diff",
      data: {
        board: "daily",
        revision: 2,
        total: 5,
        changes: [
          { member: "a", rank: 1, previousRank: null, score: 9 },
          { member: "b", rank: 2, previousRank: 2, score: 8 },
        ],
        removed: ["c"],
      },
    });
  });

  it("is told nothing when nothing moved in the top", async () => {
    const node = await startBoardNode({ boards: { "*": { top: 2, tickMs: 10 } } });
    await submitAll(node, "b", { a: 10, b: 9 });
    const viewer = await viewBoard(node, "b");

    await submitAll(node, "b", { c: 1, a: 3, b: 9 });
    await eventually(async () => expect(await isClean(node, "b")).toBe(true));
    await submitAll(node, "b", { a: 11 });
    await eventually(() => expect(viewer.board().entries[0]?.score).toBe(11));

    expect(viewer.publications).toHaveLength(1);
    expect(viewer.board()).toMatchObject({ revision: 2, total: 3 });
  });

  it("sees data travel with the entries", async () => {
    const node = await startBoardNode();
    await node.leaderboards.submit("b", { member: "a", score: 1, data: '{"name":"Ada \\u2028"}' });
    const viewer = await viewBoard(node, "b");
    expect(viewer.board().entries[0]?.data).toEqual({ name: "Ada \u2028" });

    await node.leaderboards.submit("b", { member: "a", score: 0, data: '{"name":"Bo"}' });

    await eventually(() =>
      expect(viewer.board().entries[0]).toEqual({ rank: 1, member: "a", score: 1, data: { name: "Bo" } }),
    );
  });

  it("gets diffs at least a tick apart, however many nodes watch", async () => {
    const prefix = freshPrefix();
    const boards = { "*": { tickMs: 100 } };
    const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards })));
    const viewers = await Promise.all(nodes.map((node) => viewBoard(node, "b")));

    let rounds = 0;
    while (rounds < 60 || viewers[0]!.publications.length <= 3) {
      rounds += 1;
      await Promise.all(
        nodes.map((node, index) => node.leaderboards.submit("b", { member: `m${index}`, score: rounds })),
      );
      await new Promise((resolve) => setTimeout(resolve, 10));
    }

    await eventually(() =>
      viewers.forEach((viewer) =>
        expect(viewer.board().entries.map(({ score }) => score)).toEqual([rounds, rounds, rounds]),
      ),
    );
    const times = viewers[0]!.publications.map(({ publishedAt }) => publishedAt);
    expect(times.length).toBeGreaterThan(3);
    for (const [index, time] of times.entries())
      if (index > 0) expect(time - times[index - 1]!).toBeGreaterThanOrEqual(100);
    for (const viewer of viewers)
      expect(viewer.revisions()).toEqual(viewers[0]!.revisions().slice(-viewer.revisions().length));
  });

  it("finds a board right that changed while nobody watched, and whoever comes back sees the change as a diff", async () => {
    const prefix = freshPrefix();
    const [first, second] = [await startBoardNode({ prefix }), await startBoardNode({ prefix })];
    await submitAll(first, "b", { a: 1, b: 2 });
    const subscriber = recordingSubscriber();
    const { epoch, offset } = await first.channels.subscribe(subscriber, reader("u"), "leaderboard:b");
    first.channels.disconnect(subscriber);
    await eventually(() => expect([...first.channels.local.withSubscribers("leaderboard")]).toEqual([]));
    await submitAll(second, "b", { c: 3 });

    const back = await second.channels.subscribe(recordingSubscriber(), reader("u"), "leaderboard:b", {
      epoch,
      offset,
    });
    const fresh = await viewBoard(second, "b");

    expect(back.recovered).toBe(true);
    await eventually(() =>
      expect(fresh.board()).toMatchObject({
        revision: 2,
        entries: [{ member: "c" }, { member: "b" }, { member: "a" }],
      }),
    );
  });

  it("costs nothing once gone: an unwatched board is not looked at, and its state stays as it was", async () => {
    const node = await startBoardNode({ boards: { "*": { tickMs: 10 } } });
    const subscriber = recordingSubscriber();
    await node.channels.subscribe(subscriber, reader("u"), "leaderboard:b");
    await submitAll(node, "b", { a: 1 });
    await eventually(() => expect(subscriber.seen).toHaveLength(1));
    node.channels.disconnect(subscriber);
    await eventually(async () => {
      const before = await claims(node, "b");
      await submitAll(node, "b", { [`m${Math.random()}`]: Math.random() });
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(await claims(node, "b")).toBe(before);
    });
  });

  it("is refused by name for a board nobody configured", async () => {
    const node = await startBoardNode({ boards: { known: {} } });

    await expect(viewBoard(node, "other")).rejects.toMatchObject({ code: "not_found", field: "board" });
  });

  it("a thousand at once are served and see the same", async () => {
    const node = await startBoardNode();
    await submitAll(node, "b", { a: 1 });

    const viewers = await Promise.all(Array.from({ length: 1_000 }, () => viewBoard(node, "b")));
    await submitAll(node, "b", { b: 2 });

    await eventually(() => {
      for (const viewer of viewers) expect(viewer.board().entries.map(({ member }) => member)).toEqual(["b", "a"]);
    });
  });
});

describe("a subscriber of the own rank", () => {
  const watchRank = async (node: BoardNode, board: string, userId: string) => {
    const subscriber = recordingSubscriber();
    const { snapshot } = await node.channels.subscribe(subscriber, reader(userId), `rank:${board}:${userId}`);
    return {
      snapshot: snapshot as OwnRank,
      changes: () => subscriber.seen.map(({ data }) => data as RankChange),
      seen: subscriber.seen,
    };
  };

  it("is given rank, score and total, then what changed", async () => {
    const node = await startBoardNode({ boards: { "*": { tickMs: 20 } } });
    await submitAll(node, "b", { ada: 5, bo: 4 });
    const { snapshot, changes, seen } = await watchRank(node, "b", "ada");
    expect(snapshot).toEqual({ board: "b", member: "ada", rank: 1, score: 5, total: 2 });

    await submitAll(node, "b", { bo: 7 });
    await eventually(() => expect(changes()).toHaveLength(1));
    await submitAll(node, "b", { ada: 6, cy: 1 });
    await eventually(() => expect(changes()).toHaveLength(2));
    await node.leaderboards.remove("b", "ada");
    await eventually(() => expect(changes()).toHaveLength(3));

    const head = { board: "b", member: "ada" };
    expect(seen[0]).toMatchObject({ channel: "rank:b:ada", event: "leaderboard.rank" });
    expect(changes()).toEqual([
      { ...head, rank: 2, previousRank: 1, score: 5, total: 2 },
      { ...head, rank: 2, previousRank: 2, score: 6, total: 3 },
      { ...head, rank: null, previousRank: 2, score: null, total: 2 },
    ]);
  });

  it("is told nothing while others move below", async () => {
    const node = await startBoardNode({ boards: { "*": { tickMs: 10 } } });
    await submitAll(node, "b", { ada: 100, bo: 1, cy: 2 });
    const { changes } = await watchRank(node, "b", "ada");

    for (const score of [3, 4, 5, 6]) await submitAll(node, "b", { bo: score, cy: score + 1 });
    await eventually(async () => expect(await isClean(node, "b")).toBe(true));
    await submitAll(node, "b", { bo: 200 });

    await eventually(() =>
      expect(changes()).toEqual([{ board: "b", member: "ada", rank: 2, previousRank: 1, score: 100, total: 3 }]),
    );
  });

  it("far below the top, and not on the board at first, is told all the same", async () => {
    const node = await startBoardNode({ boards: { "*": { top: 1, tickMs: 10 } } });
    const { snapshot, changes } = await watchRank(node, "b", "auth0:ada");
    expect(snapshot).toEqual({ board: "b", member: "auth0:ada", rank: null, score: null, total: 0 });

    await submitAll(node, "b", { x: 9, y: 8, "auth0:ada": 1 });

    await eventually(() =>
      expect(changes()).toEqual([{ board: "b", member: "auth0:ada", rank: 3, previousRank: null, score: 1, total: 3 }]),
    );
  });

  it("is told once per change on every node, at least a tick apart", async () => {
    const prefix = freshPrefix();
    const boards = { "*": { tickMs: 50 } };
    const nodes = await Promise.all([1, 2, 3].map(() => startBoardNode({ prefix, boards })));
    await submitAll(nodes[0]!, "b", { ada: 1 });
    const watchers = await Promise.all(nodes.map((node) => watchRank(node, "b", "ada")));

    for (let round = 1; round <= 40; round += 1) {
      await submitAll(nodes[round % 3]!, "b", { [`rival${round}`]: 100 + round });
      await new Promise((resolve) => setTimeout(resolve, 10));
    }

    await eventually(() => watchers.forEach(({ changes }) => expect(changes().at(-1)?.rank).toBe(41)));
    const [first] = watchers;
    for (const { changes, snapshot } of watchers) {
      expect(changes()).toEqual(first!.changes());
      let rank = snapshot.rank;
      for (const change of changes()) {
        expect(change.previousRank).toBe(rank);
        expect(change.rank).not.toBe(rank);
        rank = change.rank;
      }
    }
    const times = first!.seen.map(({ publishedAt }) => publishedAt);
    for (const [index, time] of times.entries())
      if (index > 0) expect(time - times[index - 1]!).toBeGreaterThanOrEqual(50);
  });

  it("sees no one else's", async () => {
    const node = await startBoardNode();

    await expect(node.channels.subscribe(recordingSubscriber(), reader("eve"), "rank:b:ada")).rejects.toMatchObject({
      code: "forbidden",
    });
  });
});

const claims = async (node: BoardNode, board: string) => node.commands.hget(node.keys.boardState(board), "claim");

const isClean = async (node: BoardNode, board: string) => {
  const [stamp, published] = await node.commands.hmget(node.keys.boardState(board), "timestamp", "published");
  return stamp === published;
};
