import { describe, expect, inject, it, onTestFinished } from "vitest";
import type { ScoreSubmission } from "../../src/leaderboards/leaderboards.ts";
import { createRedisConnections, type RedisClient } from "../../src/redis/connections.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { startGateway } from "../support/gateway.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";
import { startBoardNode, startBoards } from "./board-node.ts";

const increments = { "*": { mode: "increment" } } as const;
const conflict = { code: "conflict", field: "idempotencyKey" };

/** One point for each, 2.5 hundreds of them and `m0` twice: three scripts. */
const batch = [...Array.from({ length: 250 }, (_, n) => `m${n}`), "m0"].map((member) => ({ member, score: 1 }));

describe("a score with an idempotency key", () => {
  it("is counted once and answered as the first time, whatever came between", async () => {
    const { leaderboards } = await startBoards(increments);
    const first = await leaderboards.submit("b", { member: "ada", score: 5 }, "k");
    await leaderboards.submit("b", { member: "bo", score: 50 });
    await leaderboards.submit("b", { member: "ada", score: 100 });

    const repeats = await Promise.all([1, 2, 3].map(() => leaderboards.submit("b", { member: "ada", score: 5 }, "k")));

    expect(first).toEqual({ board: "b", member: "ada", score: 5, rank: 1, previousRank: null, total: 1 });
    expect(repeats).toEqual([first, first, first]);
    expect((await leaderboards.around("b", "ada")).entry?.score).toBe(105);
  });

  it("conflicts with other content under the same key; another member, board or batch is another write", async () => {
    const { leaderboards } = await startBoards(increments);
    const submit = (board: string, submission: ScoreSubmission) => leaderboards.submit(board, submission, "k");
    await submit("b", { member: "ada", score: 5 });

    await expect(submit("b", { member: "ada", score: 6 })).rejects.toMatchObject(conflict);
    await expect(submit("b", { member: "ada", score: 5, data: "1" })).rejects.toMatchObject(conflict);
    await expect(submit("b", { member: "ada", score: 5, mode: "last" })).rejects.toMatchObject(conflict);

    const others = [
      await submit("b", { member: "ada-0", score: 5 }),
      await submit("c", { member: "ada", score: 5 }),
      ...(await leaderboards.submitMany("b", [{ member: "ada", score: 5 }], { idempotencyKey: "k" })),
    ];
    expect(others).toMatchObject([{ score: 5 }, { score: 5 }, { score: 10 }]);
  });

  it("is judged afresh where it was refused", async () => {
    const { leaderboards } = await startBoards(increments);
    const most = { member: "ada", score: Number.MAX_VALUE };
    await leaderboards.submit("b", most);
    await expect(leaderboards.submit("b", most, "k")).rejects.toMatchObject({ code: "bad_request" });
    await leaderboards.submit("b", { ...most, score: 1, mode: "last" });

    expect((await leaderboards.submit("b", { ...most, score: 2 }, "j")).score).toBe(3);
    expect((await leaderboards.submit("b", most, "k")).score).toBe(Number.MAX_VALUE);
  });

  it("keeps its place among those without", async () => {
    const { leaderboards } = await startBoards({ "*": { mode: "last" } });

    const answers = await Promise.all(
      [1, 2, 3, 4].map((score) => leaderboards.submit("b", { member: "ada", score }, score === 2 ? "k" : undefined)),
    );

    expect(answers.map(({ score }) => score)).toEqual([1, 2, 3, 4]);
    expect((await leaderboards.around("b", "ada")).entry?.score).toBe(4);
  });

  it("is remembered for a day, and nothing is where there is no key", async () => {
    const { leaderboards, commands, keys } = await startBoards(increments);
    await leaderboards.submit("b", { member: "ada", score: 5 }, "k");
    await leaderboards.submit("b", { member: "bo", score: 5 });

    const kept = await commands.keys(`${keys.prefix}:*once*`);

    expect(kept).toEqual([keys.boardOnce("b", { scope: "member-ada", key: "k", part: 0 })]);
    expect(await commands.ttl(kept[0]!)).toBeGreaterThan(86_000);
  });
});

describe("a batch with an idempotency key", () => {
  it("is counted once and answered as the first time; with other content nothing of it is taken", async () => {
    const { leaderboards } = await startBoards(increments);
    const submit = (submissions: ScoreSubmission[], withRanks = true) =>
      leaderboards.submitMany("b", submissions, { idempotencyKey: "k", withRanks });
    const first = await submit(batch);
    await leaderboards.submit("b", { member: "m7", score: 70 });

    expect(await submit(batch)).toEqual(first);
    await expect(submit([...batch, { member: "new", score: 1 }])).rejects.toMatchObject(conflict);
    await expect(submit(batch, false)).rejects.toMatchObject(conflict);

    const { total, entries } = await leaderboards.top("b", { limit: 3 });
    expect(total).toBe(250);
    expect(entries.map(({ member, score }) => [member, score])).toEqual([
      ["m7", 71],
      ["m0", 2],
      ["m1", 1],
    ]);
  });
});

describe.each(["one Redis", "a Redis Cluster"])("on %s, over a connection that is cut again and again", (topology) => {
  it("repeats count each score once, alone or in a batch", { timeout: 120_000 }, async () => {
    const cluster = topology === "one Redis" ? undefined : await clusterOfOne();
    const { leaderboards, commands } = await startBoardNode({ boards: increments, ...(cluster && { cluster }) });
    const cut = await knifeFor(commands, cluster ?? inject("redisUrl"));
    const written = { alone: 0, batches: 0, repeats: 0, isOver: false };
    const untilAnswered = async (submit: () => Promise<unknown>): Promise<void> => {
      while ((await submit().catch((error: Error) => error)) instanceof Error) {
        written.repeats += 1;
        await pause(5);
      }
    };
    const backend = async (member: string): Promise<void> => {
      for (let n = 0; !written.isOver; n += 1) {
        await untilAnswered(() => leaderboards.submit("b", { member, score: 1 }, `k${n}`));
        written.alone += 1;
      }
    };
    const batches = async (): Promise<void> => {
      for (let n = 0; !written.isOver; n += 1) {
        await untilAnswered(() => leaderboards.submitMany("b", batch, { idempotencyKey: `k${n}` }));
        written.batches += 1;
      }
    };

    const backends = [batches(), ...Array.from({ length: 20 }, (_, index) => backend(`alone-${index}`))];
    for (let cuts = 0; cuts < 6 || written.repeats < 20; cuts += 1) await cut();
    written.isOver = true;
    await Promise.all(backends);

    const { entries } = await eventually(() => leaderboards.top("b", { limit: 1_000 }));
    const sum = entries.reduce((total, { score }) => total + score, 0);
    expect(sum).toBe(written.alone + written.batches * batch.length);
  });
});

it("the key holds over HTTP and over the stream, whose entries are keys of their own", async () => {
  const prefix = freshPrefix();
  const node = await startGateway({ prefix, file: { leaderboards: { "*": increments["*"] } } });
  const key = { "idempotency-key": "k" };
  const put = () => node.call("PUT", "/v1/leaderboards/b/scores/ada", { score: 5 }, key);
  const post = (score: number) =>
    node.call("POST", "/v1/leaderboards/b/scores", { scores: [{ member: "ada", score }, { member: 7 }] }, key);
  const [first, firstBatch] = [await put(), await post(20)];
  const stream = await clientOf(inject("redisUrl"));
  const send = (idempotencyKey?: string) =>
    stream.xadd(
      `${prefix}:commands`,
      "*",
      "command",
      JSON.stringify({ type: "score.submit", board: "b", member: "ada", score: 5, idempotencyKey }),
    );
  await send("k");
  await send();
  await send();

  expect((await put()).body).toEqual(first.body);
  expect((await post(20)).body).toEqual(firstBatch.body);
  expect((await post(21)).status).toBe(409);
  const ada = async () => (await node.call("GET", "/v1/leaderboards/b/members/ada")).body.entry.score;
  await eventually(async () => expect(await ada()).toBe(35));
});

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function clientOf(url: string): Promise<RedisClient> {
  const redis = createRedisConnections({ address: { topology: "single", url }, nodeId: "other", log: quietLog });
  onTestFinished(() => redis.close());
  const client = redis.connection("commands");
  await redis.ready(60_000);
  return client;
}

/** Cuts the connection of `victim` some moment later. */
async function knifeFor(victim: RedisClient, url: string): Promise<() => Promise<void>> {
  const knife = await clientOf(url);
  return async () => {
    const id = await eventually(() => victim.client("ID"));
    await pause(Math.random() * 30);
    await knife.client("KILL", "ID", id);
  };
}
