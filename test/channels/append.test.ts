import { expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { openKind, startChannelsNode } from "../support/nodes.ts";
import { freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const say = { channel, event: "said", data: "{}" };

async function startLog(ttlSeconds: number, prefix = freshPrefix()) {
  const kinds = { chat: { ...openKind, history: { size: 10, ttlSeconds } } };
  const { channels, redis } = await startChannelsNode({ prefix, kinds });
  const keys = createKeys(prefix);
  const commands = redis.connection("commands");
  const lastTimestamp = async (): Promise<number> =>
    Number(await commands.hget(keys.channelMeta(channel), "timestamp"));
  /** In seconds from the last publication, however long ago that was. */
  const lifeOf = async (key: string): Promise<number> =>
    Math.round(((await commands.pexpiretime(key)) - (await lastTimestamp()) / 1_000) / 1_000);
  return {
    keys,
    commands,
    publish: () => channels.publish(say),
    lastTimestamp,
    lifeOfLog: () => lifeOf(keys.channelLog(channel)),
    lifeOfPosition: () => lifeOf(keys.channelMeta(channel)),
  };
}

/** As if the last publication had been so long ago. */
async function age({ keys, commands, lastTimestamp }: Awaited<ReturnType<typeof startLog>>, seconds: number) {
  await commands.hset(keys.channelMeta(channel), "timestamp", (await lastTimestamp()) - seconds * 1_000_000);
}

test("a log and its position live from the last publication on as long as their kind says, or a sixteenth longer", async () => {
  const log = await startLog(320);
  await log.publish();
  const lives = [await log.lifeOfLog(), await log.lifeOfPosition()];
  await log.commands.expire(log.keys.channelLog(channel), 300);
  await log.commands.expire(log.keys.channelMeta(channel), 80_000);
  await age(log, 20);
  await log.publish();
  const livesOfLog = [await log.lifeOfLog()];
  await age(log, 5_400);
  await log.publish();

  expect(lives).toEqual([340, 91_800]);
  expect(livesOfLog).toEqual([340]);
  expect(await log.lifeOfPosition()).toBe(91_800);
});

test("a publication soon after another prolongs nothing", async () => {
  const log = await startLog(36_000_000);
  await log.publish();
  await log.commands.expire(log.keys.channelLog(channel), 300);

  await log.publish();

  expect(await log.lifeOfLog()).toBeLessThanOrEqual(300);
});

test("a log that a channel is given later has a life from its first publication on", async () => {
  const prefix = freshPrefix();
  const without = await startLog(0, prefix);
  await without.publish();
  const log = await startLog(36_000_000, prefix);

  await log.publish();

  expect(await log.lifeOfLog()).toBeGreaterThan(36_000_000);
});

test("each publication prolongs the life of a log that is short, and never beyond what its kind says", async () => {
  const log = await startLog(20);
  await log.publish();
  await log.commands.expire(log.keys.channelLog(channel), 5);

  await log.publish();

  expect(await log.lifeOfLog()).toBeGreaterThan(15);
  expect(await log.lifeOfLog()).toBeLessThanOrEqual(20);
});

test("a log that begins anew within the second of its last publication has a life too", async () => {
  const log = await startLog(300);

  // Whether a second ends in between is up to the clock; five times in a row it does not.
  for (let time = 0; time < 5; time++) {
    await log.publish();
    await log.commands.del(log.keys.channelLog(channel));
    await log.commands.hset(log.keys.channelMeta(channel), "epoch", `new-${time}`, "offset", "0");
    await log.publish();

    expect(await log.lifeOfLog()).toBeGreaterThan(290);
  }
});

test("where Redis' clock has gone back timestamps go on from the last one, one by one", async () => {
  const log = await startLog(300);
  await log.publish();
  const ahead = (await log.lastTimestamp()) + 3_600_000_000;
  await log.commands.set(log.keys.globalTimestamp(), ahead);

  await log.publish();
  const first = await log.lastTimestamp();
  await log.publish();

  expect([first, await log.lastTimestamp()]).toEqual([ahead + 1, ahead + 2]);
});

test("a timestamp has all the digits of its microseconds, also at the beginning of a second", async () => {
  const log = await startLog(300);
  const timestamps: number[] = [];

  for (
    const started = Date.now();
    Date.now() - started < 60_000 && !timestamps.some((timestamp) => timestamp % 1_000_000 < 100_000);
  ) {
    await log.publish();
    timestamps.push(await log.lastTimestamp());
  }

  expect(timestamps.some((timestamp) => timestamp % 1_000_000 < 100_000)).toBe(true);
  expect(timestamps).toEqual(timestamps.toSorted((a, b) => a - b));
  expect(new Set(timestamps.map((timestamp) => `${timestamp}`.length))).toEqual(new Set([16]));
});
