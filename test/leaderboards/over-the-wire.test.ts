import { describe, expect, it } from "vitest";
import { applyDiff, type BoardDiff, type BoardSnapshot } from "../../src/protocol/board.ts";
import { apiKey, startGateway, told, type Client } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const file = {
  leaderboards: {
    daily: { top: 3, tickMs: 50, season: "daily" },
    open: { clientWrites: true, mode: "increment", tickMs: 20 },
  },
};

const ask = (client: Client, event: string, argument: object) => client.timeout(20_000).emitWithAck(event, argument);

describe("leaderboards over HTTP", () => {
  it("are written, read, searched and tidied as the contract says", async () => {
    const { call } = await startGateway({ file });
    const scores = "/v1/leaderboards/daily/scores";

    const put = await call("PUT", `${scores}/a%20b`, { score: 5, data: { name: "Ada" } });
    const worse = await call("PUT", `${scores}/a%20b`, { score: 3 });
    const batch = await call("POST", scores, {
      scores: [
        { member: "c", score: 9 },
        { member: "d", score: "9" },
        { member: "e", score: 1, mode: "last" },
      ],
    });
    const page = await call("GET", "/v1/leaderboards/daily?limit=2&start=1");
    const around = await call("GET", "/v1/leaderboards/daily/members/a%20b?radius=1");
    const removed = await call("DELETE", "/v1/leaderboards/daily/members/c");
    const again = await call("DELETE", "/v1/leaderboards/daily/members/c");

    expect([put.status, put.body]).toEqual([
      200,
      { board: "daily", member: "a b", score: 5, rank: 1, previousRank: null, total: 1 },
    ]);
    expect(worse.body).toEqual({ board: "daily", member: "a b", score: 5, rank: 1, previousRank: 1, total: 1 });
    expect(batch.body.results).toEqual([
      { ok: true, member: "c", score: 9, rank: 1, previousRank: null },
      { ok: false, error: { code: "bad_request", message: expect.stringContaining("scores[1].score") } },
      { ok: true, member: "e", score: 1, rank: 3, previousRank: null },
    ]);
    const today = new Date().toISOString().slice(0, 10);
    const entry = { rank: 2, member: "a b", score: 5, updatedAt: expect.any(Number), data: { name: "Ada" } };
    expect(page.body).toEqual({
      board: "daily",
      season: today,
      revision: 0,
      total: 3,
      entries: [
        entry,
        {
          rank: 3,
          member: "e",
          score: 1,
          updatedAt: expect.any(Number),
        },
      ],
    });
    expect(around.body).toMatchObject({
      board: "daily",
      total: 3,
      entry,
      entries: [{ rank: 1 }, { rank: 2 }, { rank: 3 }],
    });
    expect([removed.body, again.body]).toEqual([{ removed: true }, { removed: false }]);
  });

  it("refuse what is wrong by name", async () => {
    const { call } = await startGateway({ file });
    const at = (path: string) => `/v1/leaderboards/daily${path}`;
    const wrong: [string, string, unknown, string, string][] = [
      ["PUT", at("/scores/m"), { score: "7" }, "bad_request", "score"],
      ["PUT", at("/scores/m"), { score: null }, "bad_request", "score"],
      ["PUT", at("/scores/m"), {}, "bad_request", "score"],
      ["PUT", at("/scores/m"), { score: 1, mode: "sum" }, "bad_request", "mode"],
      ["PUT", at("/scores/m"), { score: 1, extra: 1 }, "bad_request", "extra"],
      ["PUT", at("/scores/m"), { score: 1, data: "x".repeat(1_100) }, "payload_too_large", "data"],
      ["PUT", at("/scores/a%00b"), { score: 1 }, "bad_request", "member"],
      ["PUT", at(`/scores/${"m".repeat(10_240)}`), { score: 1 }, "bad_request", "member"],
      ["PUT", "/v1/leaderboards/other/scores/m", { score: 1 }, "not_found", "board"],
      ["POST", at("/scores"), { scores: Array.from({ length: 1_001 }, () => ({})) }, "bad_request", "scores"],
      ["GET", at("?limit=0"), undefined, "bad_request", "limit"],
      ["GET", at("?limit=1001"), undefined, "bad_request", "limit"],
      ["GET", at("?start=-1"), undefined, "bad_request", "start"],
      ["GET", at("?season=2026-02-30"), undefined, "not_found", "season"],
      ["GET", at("/members/m?season=never"), undefined, "not_found", "season"],
      ["GET", at("/members/nobody"), undefined, "not_found", "member"],
      ["GET", at("/members/nobody?radius=101"), undefined, "bad_request", "radius"],
    ];

    for (const [method, path, body, code, field] of wrong) {
      const answer = await call(method, path, body);
      expect([path.slice(0, 60), answer.body.code, answer.body.field]).toEqual([path.slice(0, 60), code, field]);
    }
  });

  it("take no number that JSON can write and a double cannot hold", async () => {
    const { url, call } = await startGateway({ file });
    const put = (score: string) =>
      fetch(`${url}/v1/leaderboards/daily/scores/m`, {
        method: "PUT",
        headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
        body: `{"score":${score}}`,
      });

    for (const score of ["1e400", "-1e400", "NaN", "Infinity"]) expect((await put(score)).status).toBe(400);
    expect((await put("-0")).status).toBe(200);
    expect((await call("GET", "/v1/leaderboards/daily")).body.entries[0].score).toBe(0);
    expect(((await (await put("1e308")).json()) as { score: number }).score).toBe(1e308);
  });
});

it("whole boards are listed, ranked, named by season and deleted over HTTP, and ranked over a client's event", async () => {
  const { call, connect, signIn } = await startGateway({ file });
  const client = await connect((await signIn("ada")).token);
  const at = "/v1/leaderboards/daily";
  for (const [member, score] of [
    ["a", 1],
    ["b", 3],
    ["c", 2],
  ] as const)
    await call("PUT", `${at}/scores/${member}`, { score });
  const today = new Date().toISOString().slice(0, 10);
  const ranked = {
    board: "daily",
    total: 3,
    entries: [
      { rank: 1, member: "b" },
      { rank: 3, member: "a" },
    ],
  };

  expect((await call("GET", "/v1/leaderboards")).body.boards).toMatchObject([
    { board: "daily", season: today, total: 3 },
  ]);
  expect((await call("POST", `${at}/ranks`, { members: ["a", "b", "nobody"] })).body).toMatchObject(ranked);
  expect(await ask(client, "leaderboard:ranks", { board: "daily", members: ["a", "b"] })).toMatchObject(ranked);
  const many = Array.from({ length: 101 }, (_, n) => `m-${n}`);
  expect(await call("POST", `${at}/ranks`, { members: many })).toMatchObject({
    status: 400,
    body: { code: "bad_request" },
  });
  expect((await call("GET", `${at}/seasons`)).body.seasons).toMatchObject([{ season: today, current: true }]);
  expect((await call("GET", `${at}/members/a?season=${today}`)).body).toMatchObject({ entry: { rank: 3 } });
  for (const path of ["?season=2020-01-01", "/members/a?season=2020-01-01"])
    expect(await call("GET", `${at}${path}`)).toMatchObject({ status: 404, body: { code: "not_found" } });
  expect(await call("DELETE", at)).toMatchObject({ status: 200, body: { removed: true } });
  expect(await call("DELETE", at)).toMatchObject({ status: 200, body: { removed: false } });
  expect((await call("GET", at)).body).toMatchObject({ total: 0, entries: [] });
  expect((await call("GET", "/v1/leaderboards")).body).toEqual({ boards: [] });
});

describe("leaderboards over a client's events", () => {
  it("are read and, where the board allows, written under one's own name", async () => {
    const { connect, signIn, call } = await startGateway({ file });
    const client = await connect((await signIn("ada")).token);
    await call("PUT", "/v1/leaderboards/open/scores/bo", { score: 5 });

    const submitted = await ask(client, "leaderboard:submit", { board: "open", score: 7 });
    const top = await ask(client, "leaderboard:top", { board: "open", limit: 1 });
    const own = await ask(client, "leaderboard:around", { board: "open" });
    const other = await ask(client, "leaderboard:around", { board: "open", member: "bo", radius: 0 });
    const nobody = await ask(client, "leaderboard:around", { board: "open", member: "cy" });

    expect(submitted).toEqual({ ok: true, board: "open", member: "ada", score: 7, rank: 1, previousRank: null });
    const entry = { rank: 1, member: "ada", score: 7, updatedAt: expect.any(Number) };
    expect(top).toEqual({ ok: true, board: "open", revision: 0, total: 2, entries: [entry] });
    expect(own).toMatchObject({ ok: true, board: "open", total: 2, entry, entries: [{ rank: 1 }, { rank: 2 }] });
    expect(other).toMatchObject({ ok: true, entry: { member: "bo", rank: 2 }, entries: [{ member: "bo" }] });
    expect(nobody).toEqual({ ok: true, board: "open", total: 2, entry: null, entries: [] });
  });

  it("refuse what is wrong by name", async () => {
    const { connect, signIn } = await startGateway({ file });
    const client = await connect((await signIn("ada")).token);
    const refusals: [string, object, string][] = [
      ["leaderboard:submit", { board: "daily", score: 1 }, "forbidden"],
      ["leaderboard:submit", { board: "open", score: "1" }, "bad_request"],
      ["leaderboard:submit", { board: "open", score: Number.NaN }, "bad_request"],
      ["leaderboard:submit", { board: "open", score: 1, member: "bo" }, "bad_request"],
      ["leaderboard:top", { board: "none" }, "not_found"],
      ["leaderboard:top", { board: "open", limit: 5_000 }, "bad_request"],
      ["leaderboard:around", { board: "open", member: "\u0007" }, "bad_request"],
      ["subscribe", { channel: "leaderboard:none" }, "not_found"],
      ["subscribe", { channel: "rank:open:bo" }, "forbidden"],
      ["publish", { channel: "leaderboard:open", event: "leaderboard.diff", data: {} }, "forbidden"],
    ];

    for (const [event, argument, code] of refusals) {
      expect([event, argument, (await ask(client, event, argument)).error?.code]).toEqual([event, argument, code]);
    }
  });

  it("follow a board and the own rank by snapshot and changes", async () => {
    const { connect, signIn, call } = await startGateway({ file });
    const client = await connect((await signIn("ada")).token);
    const { snapshot } = await ask(client, "subscribe", { channel: "leaderboard:daily" });
    const own = await ask(client, "subscribe", { channel: "rank:daily:ada" });
    expect(own.snapshot).toEqual({ board: "daily", member: "ada", rank: null, score: null, total: 0 });

    for (let score = 1; score <= 20; score += 1) {
      await call("POST", "/v1/leaderboards/daily/scores", {
        scores: [
          { member: `m${score % 7}`, score },
          { member: "ada", score: score / 2 },
        ],
      });
    }

    const stored = async () =>
      (await call("GET", "/v1/leaderboards/daily?limit=3")).body.entries as { updatedAt: number }[];
    const expected = (await stored()).map(({ updatedAt: _when, ...entry }) => entry);
    await eventually(() => expect(rebuilt(client, snapshot).entries).toEqual(expected));
    await eventually(() =>
      expect(publications(client, "leaderboard.rank").at(-1)).toMatchObject({ rank: 8, score: 10, total: 8 }),
    );
  });
});

const publications = (client: Client, event: string): unknown[] =>
  told<{ event: string; data: unknown }>(client, "publication")
    .filter((publication) => publication.event === event)
    .map(({ data }) => data);

const rebuilt = (client: Client, snapshot: BoardSnapshot): BoardSnapshot =>
  (publications(client, "leaderboard.diff") as BoardDiff[]).reduce((board, diff) => applyDiff(board, diff), snapshot);
