import { expect, it } from "vitest";
import { seeded } from "../support/random.ts";
import { within } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import { shortSeasons, startBoardNode, startBoards, viewBoard, withinSeason } from "./board-node.ts";

it("lists boards by name in pages, and a deleted board is empty for its subscribers and no longer listed", async () => {
  const node = await startBoardNode({ boards: { "*": { tickMs: 10 } } });
  const { leaderboards } = node;
  for (const board of ["c", "a", "b"]) await leaderboards.submit(board, { member: "m", score: 1 });
  const viewer = await viewBoard(node, "b");
  const listed = async () => (await leaderboards.list()).boards.map(({ board, total }) => [board, total]);

  expect(await listed()).toEqual([
    ["a", 1],
    ["b", 1],
    ["c", 1],
  ]);
  expect(await leaderboards.list({ limit: 2 })).toMatchObject({
    boards: [{ board: "a" }, { board: "b" }],
    cursor: "b",
  });
  expect((await leaderboards.list({ limit: 2, cursor: "b" })).boards).toMatchObject([{ board: "c" }]);
  expect(await leaderboards.removeBoard("b")).toBe(true);
  expect(await leaderboards.removeBoard("b")).toBe(false);
  await eventually(() => expect(viewer.board()).toMatchObject({ total: 0, entries: [] }));
  expect(await listed()).toEqual([
    ["a", 1],
    ["c", 1],
  ]);

  await leaderboards.submit("b", { member: "n", score: 2 });
  await eventually(() => expect(viewer.board()).toMatchObject({ total: 1, entries: [{ member: "n" }] }));
  expect(await listed()).toEqual([
    ["a", 1],
    ["b", 1],
    ["c", 1],
  ]);
});

it("keeps a board for ever that has scores again after it was deleted, or had a TTL before", async () => {
  const { leaderboards, commands, keys } = await startBoards({ "*": { ttlSeconds: undefined } });
  const ttls = async (board: string) =>
    Promise.all(
      [keys.boardState(board), keys.boardRanking(board, null), keys.boardPlaces(board, null)].map((key) =>
        commands.ttl(key),
      ),
    );
  await leaderboards.submit("deleted", { member: "a", score: 1 });
  await leaderboards.removeBoard("deleted");
  await leaderboards.submit("was brief", { member: "a", score: 1 });
  for (const key of [keys.boardState("was brief"), keys.boardRanking("was brief", null)])
    await commands.expire(key, 100);

  for (const board of ["deleted", "was brief"]) await leaderboards.submit(board, { member: "b", score: 2 });

  expect(await ttls("deleted")).toEqual([-1, -1, -1]);
  expect(await ttls("was brief")).toEqual([-1, -1, -1]);
});

it("keeps a board while scores are submitted, also such that are no record", async () => {
  const { leaderboards, commands, keys } = await startBoards({ "*": { mode: "best", ttlSeconds: 1_000 } });
  const kept = [
    keys.boardState("b"),
    keys.boardRanking("b", null),
    keys.boardPlaces("b", null),
    keys.boardData("b", null),
  ];
  await leaderboards.submit("b", { member: "a", score: 5, data: "1" });
  for (const key of kept) await commands.expire(key, 10);

  await leaderboards.submit("b", { member: "a", score: 4 });

  for (const key of kept) expect(await commands.ttl(key)).toBeGreaterThan(900);
});

it("has another version once its scores have expired", async () => {
  const { leaderboards, commands, keys } = await startBoards({ brief: { ttlSeconds: 1 } });
  await leaderboards.submit("brief", { member: "m", score: 1 });
  const { version } = await leaderboards.version("brief");

  await eventually(async () => expect(await commands.exists(keys.boardRanking("brief", null))).toBe(0));

  expect((await leaderboards.version("brief")).version).not.toBe(version);
});

it("deletes a board some time after its last score, and its subscribers see that", async () => {
  const ttlSeconds = 2;
  const node = await startBoardNode({ boards: { "*": {}, brief: { ttlSeconds, tickMs: 10 } }, sweepMs: 50 });
  const { leaderboards, commands, keys } = node;
  await leaderboards.submit("other", { member: "m", score: 1 });
  const viewer = await within(ttlSeconds * 1_000, async () => {
    await leaderboards.submit("brief", { member: "m", score: 1, data: "1" });
    const viewing = await viewBoard(node, "brief");
    expect(viewing.board().total).toBe(1);
    return viewing;
  });

  expect(await commands.ttl(keys.boardRanking("other", null))).toBeGreaterThan(29 * 86_400);
  await eventually(() => expect(viewer.board()).toMatchObject({ total: 0, entries: [] }));
  expect(await commands.exists(keys.boardPlaces("brief", null), keys.boardData("brief", null))).toBe(0);
});

it("knows its seasons; one without scores is not found, also around a member", async () => {
  const calendar = shortSeasons(400);
  const seasonal = { season: "daily", tickMs: 10 } as const;
  const { leaderboards } = await startBoardNode({ boards: { "*": seasonal }, calendar });
  const season = await withinSeason(calendar, async ({ id }) => {
    await leaderboards.submit("b", { member: "a", score: 7 });
    return id;
  });
  await eventually(async () => expect((await leaderboards.top("b")).season).not.toBe(season));
  const never = calendar.at(0).id as string;
  const notFound = { code: "not_found", field: "season" };

  await withinSeason(calendar, async () => {
    await leaderboards.submit("b", { member: "b", score: 9 });
    const { seasons } = await leaderboards.seasons("b");
    expect(seasons.map((one) => one.season)).toContain(season);
    expect(seasons[0]).toMatchObject({ current: true });
  });
  expect(await leaderboards.around("b", "a", 2, season as string)).toMatchObject({ total: 1, entry: { rank: 1 } });
  await expect(leaderboards.top("b", { season: never })).rejects.toMatchObject(notFound);
  await expect(leaderboards.around("b", "a", 2, never)).rejects.toMatchObject(notFound);

  expect(await leaderboards.removeBoard("b")).toBe(true);
  await expect(leaderboards.top("b", { season: season as string })).rejects.toMatchObject(notFound);
});

it("reports each change of season once or more under one key, also without subscribers", async () => {
  const reported: { key: string; data: { previousSeason: string; season: string } }[] = [];
  const { leaderboards } = await startBoardNode({
    boards: { "*": { season: "daily" } },
    calendar: shortSeasons(300),
    notifySeason: async (change) => void reported.push(change),
  });
  await leaderboards.submit("b", { member: "a", score: 7 });

  await eventually(() => expect(new Set(reported.map(({ key }) => key)).size).toBeGreaterThan(1));

  const [first, second] = new Map(reported.map((change) => [change.key, change])).values();
  expect(second!.data.previousSeason).toBe(first!.data.season);
});

it("ranks, pages, totals, deletions and lists agree with a model in 300 random operations", async () => {
  const { leaderboards } = await startBoards({ "*": { mode: "last" } });
  const random = seeded(7);
  const pick = (count: number) => Math.floor(random() * count);
  const model = new Map<string, Map<string, { score: number; at: number }>>();
  const ranked = (board: string) =>
    [...(model.get(board) ?? [])]
      .toSorted(([, a], [, b]) => b.score - a.score || a.at - b.at)
      .map(([member]) => member);

  for (let at = 0; at < 300; at++) {
    const [board, member, act] = [`b-${pick(3)}`, `m-${pick(8)}`, random()];
    const members = model.get(board) ?? new Map<string, { score: number; at: number }>();
    if (act < 0.6) {
      const score = pick(5);
      if (members.get(member)?.score !== score) members.set(member, { score, at });
      model.set(board, members);
      await leaderboards.submit(board, { member, score });
    } else if (act < 0.75) expect(await leaderboards.remove(board, member)).toBe(members.delete(member));
    else if (act < 0.8) {
      expect(await leaderboards.removeBoard(board)).toBe(members.size > 0);
      model.delete(board);
    } else {
      const asked = [member, "m-1", "nobody", "m-2"];
      const { entries, total } = await leaderboards.ranks(board, asked);
      const order = ranked(board);
      expect(total).toBe(order.length);
      expect(entries.map((entry) => [entry.rank, entry.member])).toEqual(
        [...order.entries()].flatMap(([index, one]) => (asked.includes(one) ? [[index + 1, one]] : [])),
      );
    }
  }

  const { boards } = await leaderboards.list();
  const expected = [...model].map(([board, { size }]) => [board, size] as const);
  expect(boards.map(({ board, total }) => [board, total]).filter(([, total]) => total !== 0)).toEqual(
    expected.filter(([, size]) => size > 0).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  );
});

it("boards with a time to live agree with a model, whose boards end at random and begin anew", async () => {
  const ttlSeconds = 1_000;
  const { leaderboards, commands, keys } = await startBoards({ "*": { mode: "last", ttlSeconds } });
  const random = seeded(17);
  const pick = (count: number) => Math.floor(random() * count);
  const model = new Map<string, Map<string, { score: number; data: number; at: number }>>();
  const now = async () => Number((await commands.time())[0]);
  const dataKeys = (board: string) =>
    [keys.boardRanking, keys.boardPlaces, keys.boardData].map((of) => of(board, null));

  /** As if its time were over: everything that Redis keeps of its scores ends at the same moment, and is gone. */
  async function end(board: string): Promise<void> {
    const ends = await Promise.all(dataKeys(board).map((key) => commands.expiretime(key)));
    expect(new Set(ends).size).toBe(1);
    await Promise.all(dataKeys(board).map((key) => commands.expireat(key, 1)));
  }

  for (let at = 0; at < 300; at++) {
    const [board, member, kind] = [`b-${pick(3)}`, `m-${pick(6)}`, random()];
    const members = model.get(board) ?? new Map<string, { score: number; data: number; at: number }>();
    model.set(board, members);
    if (kind < 0.5) {
      const [score, data] = [pick(4), pick(3)];
      const placedAt = members.get(member)?.score === score ? (members.get(member)?.at ?? at) : at;
      members.set(member, { score, data, at: placedAt });
      const earliest = await now();
      await leaderboards.submit(board, { member, score, data: String(data) });
      const end = await commands.expiretime(keys.boardRanking(board, null));
      expect(end).toBeGreaterThanOrEqual(earliest + ttlSeconds);
      expect(end).toBeLessThanOrEqual((await now()) + ttlSeconds);
    } else if (kind < 0.6) expect(await leaderboards.remove(board, member)).toBe(members.delete(member));
    else if (kind < 0.68 && members.size > 0) {
      await end(board);
      members.clear();
    } else {
      const order = [...members].toSorted(([, a], [, b]) => b.score - a.score || a.at - b.at);
      const { entries, total } = await leaderboards.top(board, { limit: 10 });
      expect(total).toBe(order.length);
      expect(entries.map((entry) => [entry.member, entry.score, entry.data])).toEqual(
        order.map(([name, { score, data }]) => [name, score, data]),
      );
    }
  }
});

it("removes a member from every board and season, and subscribers see that", async () => {
  const calendar = shortSeasons(3_000);
  const { node, season } = await withinSeason(calendar, async ({ id }) => {
    const fresh = await startBoardNode({ boards: { "*": { season: "daily", tickMs: 10 } }, calendar });
    for (const board of ["daily", "a", "b"])
      for (const member of ["ada", "bob"]) await fresh.leaderboards.submit(board, { member, score: 7, data: '"d"' });
    return { node: fresh, season: id };
  });
  const { leaderboards, commands, keys } = node;
  await eventually(async () => expect((await leaderboards.top("daily")).season).not.toBe(season));
  for (const member of ["ada", "bob"]) await leaderboards.submit("daily", { member, score: 9 });
  const viewer = await viewBoard(node, "daily");
  const scores = await leaderboards.scoresOf("ada", 10);

  expect(scores.map(({ board, score, data }) => `${board} ${score} ${String(data)}`).toSorted()).toEqual([
    "a 7 d",
    "b 7 d",
    "daily 7 d",
    "daily 9 undefined",
  ]);
  expect(await leaderboards.scoresOf("ada", 2)).toHaveLength(2);
  expect(await leaderboards.removeMember("ada")).toBe(4);
  expect(await leaderboards.removeMember("ada")).toBe(0);
  expect(await leaderboards.scoresOf("ada", 10)).toEqual([]);
  await eventually(() => expect(viewer.board()).toMatchObject({ total: 1, entries: [{ member: "bob" }] }));
  expect((await leaderboards.top("daily", { season: season as string })).entries).toMatchObject([{ member: "bob" }]);
  for (const kept of [keys.boardPlaces, keys.boardData])
    expect(await commands.hexists(kept("daily", season), "ada")).toBe(0);
});

it("seasons, batches, neighbours and deletions agree with a model, for the current season and past ones", async () => {
  const calendar = shortSeasons(2_500);
  const settings = { season: "daily", mode: "last" } as const;
  const { leaderboards } = await startBoardNode({ boards: { "*": settings }, calendar, isTicking: false });
  const random = seeded(13);
  const pick = (count: number) => Math.floor(random() * count);
  type Members = Map<string, { score: number; at: number }>;
  /** By board and season. */
  let model = new Map<string, Map<string, Members>>();
  let at = 0;

  const membersOf = (board: string, season: string): Members => {
    const seasons = model.get(board) ?? new Map<string, Members>();
    const members: Members = seasons.get(season) ?? new Map();
    model.set(board, seasons.set(season, members));
    return members;
  };
  const ranked = (members: Members): string[] =>
    [...members].toSorted(([, a], [, b]) => b.score - a.score || a.at - b.at).map(([member]) => member);
  const put = (members: Members, member: string, score: number): void => {
    at += 1;
    if (members.get(member)?.score !== score) members.set(member, { score, at });
  };

  async function act(season: string): Promise<void> {
    const [board, member, kind] = [`b-${pick(3)}`, `m-${pick(8)}`, random()];
    const members = membersOf(board, season);
    if (kind < 0.3) {
      const score = pick(5);
      put(members, member, score);
      const { rank, total } = await leaderboards.submit(board, { member, score });
      expect({ rank, total }).toEqual({ rank: ranked(members).indexOf(member) + 1, total: members.size });
    } else if (kind < 0.6) {
      // A member may come twice; the last score counts.
      const batch = Array.from({ length: 1 + pick(6) }, () => ({ member: `m-${pick(8)}`, score: pick(5) }));
      for (const one of batch) put(members, one.member, one.score);
      await leaderboards.submitMany(board, batch);
    } else if (kind < 0.75) {
      expect(await leaderboards.remove(board, member)).toBe(members.delete(member));
    } else if (kind < 0.8) {
      const all = [...model.values()].flatMap((seasons) => [...seasons.values()]);
      const removed = all.filter((one) => one.delete(member)).length;
      expect(await leaderboards.removeMember(member)).toBe(removed);
    } else if (kind < 0.82) {
      await leaderboards.removeBoard(board);
      model.delete(board);
    } else {
      const order = ranked(members);
      const index = order.indexOf(member);
      const { entry, entries, total } = await leaderboards.around(board, member, 2);
      expect({ rank: entry?.rank ?? 0, total }).toEqual({ rank: index + 1, total: order.length });
      expect(entries.map((one) => one.member)).toEqual(
        index === -1 ? [] : order.slice(Math.max(0, index - 2), index + 3),
      );
    }
  }

  const current = async (): Promise<string> => (await leaderboards.version("b-0")).season as string;
  const seasons: string[] = [];
  while (seasons.length < 3) {
    const season = await eventually(async () => {
      const now = await current();
      expect(seasons).not.toContain(now);
      return now;
    });
    seasons.push(season);
    for (let n = 0; n < 40; n += 1) {
      try {
        await act(season);
      } catch (error) {
        // A season that ends in the middle says nothing; it is played again.
        if ((await current()) === season) throw error;
      }
      if ((await current()) === season) continue;
      for (const board of ["b-0", "b-1", "b-2"]) await leaderboards.removeBoard(board);
      model = new Map();
      seasons.length = 0;
      break;
    }
  }

  for (const [board, bySeason] of model) {
    for (const [season, members] of bySeason) {
      const order = ranked(members);
      const read = leaderboards.top(board, { season, limit: 100 });
      const entries = await read.then((page) => page.entries).catch(() => []);
      expect(entries.map(({ member, score }) => [member, score])).toEqual(
        order.map((member) => [member, members.get(member)?.score]),
      );
    }
    const listed = (await leaderboards.seasons(board)).seasons.map(({ season }) => season);
    const withScores = [...bySeason].filter(([, members]) => members.size > 0).map(([season]) => season);
    expect(listed).toEqual(expect.arrayContaining(withScores));
  }
  for (const member of ["m-0", "m-1", "m-2"]) {
    const expected = [...model].flatMap(([board, bySeason]) =>
      [...bySeason].flatMap(([season, members]) => (members.has(member) ? [`${board} ${season}`] : [])),
    );
    const scores = await leaderboards.scoresOf(member, 100);
    expect(scores.map(({ board, season }) => `${board} ${season}`).toSorted()).toEqual(expected.toSorted());
  }
}, 110_000);
