import { describe, expect, it } from "vitest";
import { createKinds } from "../../src/channels/kinds.ts";
import { createBoardKeys } from "../../src/leaderboards/board-keys.ts";
import { createBoards } from "../../src/leaderboards/boards.ts";
import { createRankStore, type MemberReading } from "../../src/leaderboards/rank-store.ts";
import { SeasonClock } from "../../src/leaderboards/season-clock.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { redisWorld } from "../support/world.ts";

async function rankWorld(tickMs: number) {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const ranks = createRankStore({
    commands,
    keys,
    isCluster: false,
    kinds: createKinds({}),
    keysOf: createBoardKeys(keys),
    seasons: new SeasonClock(systemClock),
  });
  const board = createBoards({ "*": { tickMs } }).of("b");
  const publish = async (reading: MemberReading, known?: { rank: number | null; score: number | null }) => {
    const { outcome, rank, score, at } = await ranks.publish(board, "ada", reading, known);
    return [outcome, rank, score, at.offset];
  };
  return { publish, commands, keys };
}

const reading = (timestamp: number, rank: number | null, score: number | null = rank): MemberReading => ({
  rank,
  score,
  total: 9,
  timestamp: String(timestamp),
});

describe("what subscribers of a rank are told", () => {
  it("is a new rank, once, and never an older reading", async () => {
    const { publish } = await rankWorld(0);

    expect(await publish(reading(10, 5))).toEqual(["published", 5, 5, 1]);
    expect(await publish(reading(10, 5))).toEqual(["same", 5, 5, 1]);
    expect(await publish(reading(12, 4))).toEqual(["published", 4, 4, 2]);
    expect(await publish(reading(11, 5))).toEqual(["stale", 4, 4, 2]);
    expect(await publish(reading(13, 4))).toEqual(["same", 4, 4, 2]);
    expect(await publish(reading(12, 7))).toEqual(["stale", 4, 4, 2]);
    expect(await publish(reading(14, null))).toEqual(["published", null, null, 3]);
  });

  it("is held back within a tick of what was told last", async () => {
    const { publish } = await rankWorld(60_000);

    expect(await publish(reading(10, 5))).toEqual(["published", 5, 5, 1]);
    expect(await publish(reading(11, 4))).toEqual(["early", 5, 5, 1]);
    expect(await publish(reading(11, 5))).toEqual(["same", 5, 5, 1]);
  });

  it("is compared with what the node knows where the store has forgotten", async () => {
    const { publish, commands, keys } = await rankWorld(0);
    await publish(reading(10, 5));
    await commands.del(keys.rankState("rank:b:ada"));

    expect(await publish(reading(11, 5), { rank: 5, score: 5 })).toEqual(["same", 5, 5, 1]);
    expect(await publish(reading(12, null), { rank: 5, score: 5 })).toEqual(["published", null, null, 2]);
  });

  it("leaves nothing behind for one who is on no board", async () => {
    const { publish, commands, keys } = await rankWorld(0);

    expect(await publish(reading(0, null))).toEqual(["same", null, null, 0]);

    expect(await commands.exists(keys.rankState("rank:b:ada"))).toBe(0);
    expect(await commands.ttl(keys.channelMeta("rank:b:ada"))).toBeGreaterThan(0);
  });
});
