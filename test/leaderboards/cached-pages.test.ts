import { describe, expect, test } from "vitest";
import { withCachedPages } from "../../src/gateway/cached-boards.ts";
import type { SeasonPage, BoardRange, Leaderboards } from "../../src/leaderboards/leaderboards.ts";
import type { Calendar } from "../../src/leaderboards/seasons.ts";
import { startCacheNode } from "../support/cache-node.ts";
import { startGateway } from "../support/gateway.ts";
import { seeded } from "../support/random.ts";
import { freshPrefix } from "../support/world.ts";
import { shortSeasons, startBoardNode, withinSeason } from "./board-node.ts";

interface CachedBoards {
  boards: Leaderboards;
  /** The same without a cache. */
  plain: Leaderboards;
  /** How often a page was read from the board. */
  reads: { count: number };
}

async function startCachedBoards(prefix: string, calendar?: Calendar): Promise<CachedBoards> {
  const settings = { "*": { season: calendar === undefined ? "none" : "daily" } } as const;
  const { leaderboards: plain } = await startBoardNode({
    prefix,
    boards: settings,
    ...(calendar === undefined ? {} : { calendar }),
  });
  const reads = { count: 0 };
  const counted: Leaderboards = {
    ...plain,
    top(board: string, range?: BoardRange): Promise<SeasonPage> {
      reads.count += 1;
      return plain.top(board, range);
    },
  };
  return { boards: withCachedPages(counted, await startCacheNode({ prefix }), settings as never), plain, reads };
}

const hundred = { limit: 100 };

describe("a large page", () => {
  test("is what the board holds at that moment, whoever writes and whoever reads", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2].map(() => startCachedBoards(prefix)));
    const random = seeded(4);

    for (let step = 0; step < 200; step += 1) {
      const [writer, reader] = [nodes[Math.floor(random() * 2)]!, nodes[Math.floor(random() * 2)]!];
      if (random() < 0.4) await writer.boards.submit("b", { member: `m${step}`, score: Math.floor(random() * 1_000) });
      if (random() < 0.1) await writer.boards.remove("b", `m${Math.floor(random() * step)}`);

      expect(await reader.boards.top("b", hundred)).toEqual(await reader.plain.top("b", hundred));
    }

    const reads = nodes.reduce((sum, { reads: { count } }) => sum + count, 0);
    expect(reads).toBeGreaterThan(50);
    expect(reads).toBeLessThan(190);
  });

  test("is read once for all nodes while the board stays as it is", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2, 3].map(() => startCachedBoards(prefix)));
    await nodes[0]!.boards.submit("b", { member: "a", score: 1 });
    for (const { boards } of nodes) await boards.top("b", hundred);
    for (const { reads } of nodes) reads.count = 0;

    const pages = await Promise.all(
      Array.from({ length: 60 }, (_, index) => nodes[index % 3]!.boards.top("b", hundred)),
    );

    expect(new Set(pages.map((page) => JSON.stringify(page))).size).toBe(1);
    expect(nodes.reduce((sum, { reads: { count } }) => sum + count, 0)).toBe(1);
  });

  test("of a board that changes between any two reads is not kept", async () => {
    const { boards, reads } = await startCachedBoards(freshPrefix());

    for (let score = 0; score < 20; score += 1) {
      await boards.submit("b", { member: "a", score });
      expect((await boards.top("b", hundred)).entries[0]!.score).toBe(score);
    }

    expect(reads.count).toBe(20);
  });

  test(
    "of the present season is gone when the season turns; that of a past one is kept",
    { timeout: 120_000 },
    async () => {
      const calendar = shortSeasons(1_500);
      const { boards, reads } = await startCachedBoards(freshPrefix(), calendar);
      const { board, season, endsAt } = await withinSeason(calendar, async (present) => {
        const name = `b-${present.id}`;
        await boards.submit(name, { member: "a", score: 1 });
        for (let read = 0; read < 3; read += 1) expect((await boards.top(name, hundred)).entries).toHaveLength(1);
        return { board: name, season: present.id as string, endsAt: present.endsAt };
      });

      await new Promise((resolve) => setTimeout(resolve, endsAt - Date.now() + 50));

      expect((await boards.top(board, hundred)).entries).toEqual([]);
      reads.count = 0;
      for (let read = 0; read < 5; read += 1) {
        expect((await boards.top(board, { ...hundred, season })).entries).toHaveLength(1);
      }
      expect(reads.count).toBe(1);
    },
  );

  test("is refused as without a cache", async () => {
    const { boards } = await startCachedBoards(freshPrefix());

    await expect(boards.top("", hundred)).rejects.toMatchObject({ code: "not_found" });
    await expect(boards.top("b", { ...hundred, season: "2026-01-01" })).rejects.toMatchObject({ code: "not_found" });
  });
});

test("a reader that has the answer is told so, and nothing else", async () => {
  const gateway = await startGateway();
  const path = "/v1/leaderboards/daily";
  await gateway.call("PUT", `${path}/scores/ada`, { score: 1 });
  const first = await gateway.call("GET", path);
  const tag = first.headers.get("etag")!;

  for (const known of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
    const again = await gateway.call("GET", path, undefined, { "if-none-match": known });
    expect(again).toMatchObject({ status: 304, body: undefined });
    expect(again.headers.get("etag")).toBe(tag);
    expect(again.headers.get("cache-control")).toBe("private, no-cache");
  }
  const unlike = await gateway.call("GET", path, undefined, { "if-none-match": '"other"' });
  await gateway.call("PUT", `${path}/scores/ada`, { score: 2 });
  const changed = await gateway.call("GET", path, undefined, { "if-none-match": tag });

  expect(unlike).toMatchObject({ status: 200, body: first.body });
  expect(changed).toMatchObject({ status: 200, body: { entries: [{ member: "ada", score: 2 }] } });
  expect(changed.headers.get("etag")).not.toBe(tag);
});

test("what must not be kept says so", async () => {
  const gateway = await startGateway();
  const { sessionId } = await gateway.signIn("ada");

  const sessions = await gateway.call("GET", "/v1/users/ada/sessions", undefined, { "if-none-match": "*" });
  const missing = await gateway.call("GET", "/v1/leaderboards/none/members/x", undefined, { "if-none-match": "*" });

  expect(sessions.body.sessions[0].sessionId).toBe(sessionId);
  for (const { headers } of [sessions, missing]) expect(headers.get("cache-control")).toBe("no-store");
  expect(missing.status).toBe(404);
});
