import { describe, expect, it } from "vitest";
import type { BoardEntry, BoardSnapshot } from "../../src/protocol/board.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { BoardModel, type BoardRules, type Score } from "./board-model.ts";
import { client, contractServer, cut, whole } from "./support.ts";

const unhindered = { capacity: 100_000, refillPerSecond: 100_000 };
const size = 10;

/** A gateway with one board, `race`; its log is so short that some cuts lose diffs for good. */
function startRace(rules: BoardRules, more: object = {}): Promise<TestGateway> {
  return startGateway({
    file: {
      limits: { messages: unhindered, handshakes: unhindered },
      channels: { leaderboard: { history: { size: 4, ttlSeconds: 60 } } },
      leaderboards: { race: { ...rules, top: size, tickMs: 10, clientWrites: true, ...more } },
    },
  });
}

/** Submits in 500 calls of 10, each of which is on the board as a whole; gives every top there ever was. */
async function submitAll(
  { call }: TestGateway,
  model: BoardModel,
  random: (below: number) => number,
  meanwhile: () => Promise<void>,
): Promise<string[]> {
  const tops = [asText([])];
  for (let done = 0; done < 500; done += 1) {
    const scores = Array.from({ length: 10 }, () => randomScore(random));
    for (const score of scores) model.submit(score);
    tops.push(asText(model.entries.slice(0, size)));
    await call("POST", "/v1/leaderboards/race/scores", { scores, ranks: false });
    if (random(30) === 0) await meanwhile();
  }
  return tops;
}

const asText = (entries: readonly BoardEntry[]): string =>
  entries.map(({ rank, member, score }) => `${rank} ${member} ${score}`).join();

/** Few members and coarse scores, so that ties abound. */
const randomScore = (random: (below: number) => number): Score => ({
  member: `m${random(40)}`,
  score: random(60) - 30,
});

/** Every board shown is one there was, none is older than the one before. */
function judge(shown: readonly BoardSnapshot[], tops: readonly string[]): void {
  let last = 0;
  for (const { revision, entries } of shown) {
    const found = tops.indexOf(asText(entries), last);
    expect(found, `revision ${revision} is no top the board had after ${last}`).toBeGreaterThanOrEqual(last);
    last = found;
  }
  const revisions = shown.map(({ revision }) => revision);
  expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
}

describe("a live leaderboard", () => {
  it.each<BoardRules & { seed: number }>([
    { order: "desc", mode: "last", seed: 1 },
    { order: "asc", mode: "last", seed: 2 },
    { order: "desc", mode: "increment", seed: 3 },
  ])(
    "is exact at every revision, over 5,000 random scores and random cuts ($order, $mode)",
    async ({ seed, ...rules }) => {
      const gateway = await startRace(rules);
      const random = whole(seed);
      const reader = client(gateway.url, { token: (await gateway.signIn("m7")).token });
      const board = reader.leaderboard("race");
      const shown: BoardSnapshot[] = [];
      let cuts = 0;
      board.on("change", (now) => shown.push(now));
      await board.loaded;
      const model = new BoardModel(rules);

      const tops = await submitAll(gateway, model, random, async () => {
        await eventually(() => expect(reader.state).toBe("connected"));
        cut(reader);
        cuts += 1;
      });

      const own = model.entries.find(({ member }) => member === "m7");
      await eventually(() => expect(board.entries).toEqual(model.entries.slice(0, size)));
      await eventually(() => expect(board.own).toEqual(own));
      judge(shown, tops);
      expect(cuts).toBeGreaterThan(5);
      expect(shown.length).toBeGreaterThan(cuts);
      const { body } = await gateway.call("GET", "/v1/leaderboards/race");
      await eventually(() => expect(board.revision).toBe(body.revision));
    },
  );

  it("submits its own user's scores, if the board accepts them, and returns the entries around", async () => {
    const { url, call, signIn } = await startRace({ order: "desc", mode: "best" });
    const ada = client(url, { token: (await signIn("ada")).token });
    const board = ada.leaderboard<{ name: string }>("race");
    await board.loaded;
    expect(board.entries).toEqual([]);
    const owns: (number | undefined)[] = [];
    board.on("own", (own) => owns.push(own?.rank));

    await call("PUT", "/v1/leaderboards/race/scores/bob", { score: 7, data: { name: "Bob" } });
    expect(await board.submit(5)).toEqual({ board: "race", member: "ada", score: 5, rank: 2, previousRank: null });

    await eventually(() => expect(board.own).toEqual({ member: "ada", rank: 2, score: 5 }));
    await eventually(() =>
      expect(board.entries.map(({ member, data }) => data?.name ?? member)).toEqual(["Bob", "ada"]),
    );
    expect(board.total).toBe(2);
    expect(await board.around(1)).toMatchObject({
      entry: { member: "ada", rank: 2 },
      entries: [{ rank: 1 }, { rank: 2 }],
    });
    const { entries } = await board.ranks(["ada", "nobody", "bob"]);
    expect(Object.fromEntries(entries.map(({ member, rank }) => [member, rank]))).toEqual({ ada: 2, bob: 1 });
    await call("DELETE", "/v1/leaderboards/race/members/ada");
    await eventually(() => expect(board.own).toBeUndefined());
    expect(owns.at(-1)).toBeUndefined();
  });

  it("shares one subscription between its views, which ends with the last of them", async () => {
    const { url, call, signIn } = await startRace({ order: "desc", mode: "best" });
    const ada = client(url, { token: (await signIn("ada")).token });
    const [first, second] = [ada.leaderboard("race"), ada.leaderboard("race")];
    await first.loaded;
    await second.loaded;
    const heard: string[] = [];
    first.on("change", () => heard.push("first"));
    second.on("change", () => heard.push("second"));

    first.close();
    first.close();
    await call("PUT", "/v1/leaderboards/race/scores/bob", { score: 7 });
    await eventually(() => expect(second.entries).toHaveLength(1));

    expect(heard).toEqual(["second"]);
    second.close();
    await eventually(() => expect(ada.channel("leaderboard:race").state).toBe("unsubscribed"));
    const again = ada.leaderboard("race");
    await again.loaded;
    expect(again.entries).toEqual([{ rank: 1, member: "bob", score: 7 }]);
  });

  it("reports a refusal of the gateway, and may be requested again", async () => {
    const { url, signIn } = await startRace({ order: "desc", mode: "best" });
    const ada = client(url, { token: (await signIn("ada")).token });
    const unknown = ada.leaderboard("nosuch");

    await expect(unknown.loaded).rejects.toMatchObject({ code: "not_found" });

    expect(ada.leaderboard("nosuch").loaded).not.toBe(unknown.loaded);
    await expect(ada.leaderboard("race").submit(Number.NaN)).rejects.toMatchObject({ code: "bad_request" });
  });

  it("reloads the board if a revision is missing", async () => {
    let revision = 1;
    const entries = () => [{ rank: 1, member: "ada", score: revision }];
    const server = await contractServer({
      snapshot: (channel) =>
        channel === "leaderboard:race" ? { board: "race", revision, total: 1, entries: entries() } : {},
    });
    const ada = client(server.url);
    const board = ada.leaderboard("race");
    const states: string[] = [];
    ada.on("state", ({ state }) => states.push(state));
    const diff = () => ({
      board: "race",
      revision,
      total: 1,
      changes: entries().map((entry) => ({ ...entry, previousRank: 1 })),
      removed: [],
    });
    await board.loaded;

    revision = 4;
    server.publish("leaderboard:race", "leaderboard.diff", diff());
    await eventually(() => expect([board.revision, board.entries]).toEqual([4, entries()]));
    revision = 5;
    server.publish("leaderboard:race", "leaderboard.diff", diff());

    await eventually(() => expect([board.revision, board.entries]).toEqual([5, entries()]));
    expect(
      server.requests.filter(
        ({ name, message }) => name === "subscribe" && "channel" in message && message.channel === "leaderboard:race",
      ),
    ).toHaveLength(2);
    expect(states).toEqual(["connected"]);
  });

  it("reports a new season and starts it empty", async () => {
    const server = await contractServer({
      snapshot: () => ({ board: "race", revision: 1, total: 1, entries: [{ rank: 1, member: "ada", score: 1 }] }),
    });
    const board = client(server.url).leaderboard("race");
    const seasons: string[] = [];
    board.on("season", ({ season }) => seasons.push(season));
    await board.loaded;

    server.publish("leaderboard:race", "leaderboard.season", { board: "race", season: "2026-03-09" });
    const emptied = { board: "race", revision: 2, total: 0, changes: [], removed: ["ada"] };
    server.publish("leaderboard:race", "leaderboard.diff", emptied);

    await eventually(() => expect(board.entries).toEqual([]));
    expect(seasons).toEqual(["2026-03-09"]);
  });
});
