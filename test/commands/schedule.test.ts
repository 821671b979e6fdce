import { inject, onTestFinished, expect, test } from "vitest";
import { createScheduleStore } from "../../src/commands/schedule-store.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { startGateway, told, type BackendCalls } from "../support/gateway.ts";
import { startNodeProcess } from "../support/node-process.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";

const file = { channels: { chat: { subscribe: "public", history: { size: 1000, ttlSeconds: 60 } } } };

const historyOf = async ({ call }: BackendCalls, channel = "chat:a") =>
  (await call("GET", `/v1/channels/${encodeURIComponent(channel)}/history`)).body.publications as {
    data: unknown;
    publishedAt: number;
  }[];

/** What has been published is forgotten after that. */
const nothingIsScheduled = ({ call }: BackendCalls) =>
  eventually(async () => expect((await call("GET", "/v1/scheduled")).body).toEqual({ scheduled: [] }));

const later = ({ call }: BackendCalls, data: unknown, when: object, more: object = {}) =>
  call("POST", "/v1/publish", { channel: "chat:a", event: "e", data, ...when, ...more });

test("a publication for later is delivered once, when it is due, and not before", async () => {
  const gateway = await startGateway({ file });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  await client.emitWithAck("subscribe", { channel: "chat:a" });

  const past = Date.now() - 60_000;
  const atOnce = await later(gateway, "past", { publishAt: past });
  const planned = await later(gateway, "later", { delayMs: 400 });

  expect(planned).toMatchObject({ status: 202, body: { scheduleId: expect.stringMatching(/^[\w-]{22}$/) } });
  expect(atOnce).toMatchObject({ status: 202, body: { publishAt: past } });
  await eventually(() => expect(told(client, "publication").map(({ data }) => data)).toEqual(["past", "later"]));
  const [, { publishedAt } = { publishedAt: 0 }] = await historyOf(gateway);
  expect(publishedAt).toBeGreaterThanOrEqual(planned.body.publishAt);
  await nothingIsScheduled(gateway);
});

test("an ephemeral publication can be scheduled too, and leaves nothing behind", async () => {
  const gateway = await startGateway({ file });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  await client.emitWithAck("subscribe", { channel: "chat:a" });

  expect(await later(gateway, "typing", { delayMs: 50 }, { ephemeral: true })).toMatchObject({ status: 202 });

  await eventually(() => expect(told(client, "publication")).toMatchObject([{ data: "typing" }]));
  expect(told(client, "publication")[0]).not.toHaveProperty("offset");
  expect(await historyOf(gateway)).toEqual([]);
});

test("scheduled publications are listed in pages, in order of time, and can be cancelled", async () => {
  const gateway = await startGateway({ file });
  const publishAt = Date.now() + 3_600_000;
  const ids: string[] = [];
  for (const n of [2, 0, 1, 1, 1]) {
    ids.push((await later(gateway, n, { publishAt: publishAt + n })).body.scheduleId);
  }

  const listed: { scheduleId: string; publishAt: number; data: unknown }[] = [];
  for (let cursor = ""; ;) {
    const { body } = await gateway.call("GET", `/v1/scheduled?limit=2${cursor}`);
    listed.push(...body.scheduled);
    if (body.cursor === undefined) break;
    cursor = `&cursor=${encodeURIComponent(body.cursor)}`;
  }
  const [first] = ids;

  expect(listed.map(({ data }) => data)).toEqual([0, 1, 1, 1, 2]);
  expect(listed.find(({ scheduleId }) => scheduleId === first)).toEqual({
    scheduleId: first,
    publishAt: publishAt + 2,
    channel: "chat:a",
    event: "e",
    data: 2,
  });
  expect((await gateway.call("DELETE", `/v1/scheduled/${first}`)).body).toEqual({ removed: true });
  expect((await gateway.call("DELETE", `/v1/scheduled/${first}`)).body).toEqual({ removed: false });
  expect((await gateway.call("DELETE", "/v1/scheduled/unknown")).body).toEqual({ removed: false });
  expect((await gateway.call("GET", "/v1/scheduled")).body.scheduled).toHaveLength(4);
});

test("a page begins behind the last one, also if that is being published meanwhile", async () => {
  const { redis, keys } = await redisWorld();
  const store = createScheduleStore({ commands: redis.connection("commands"), keys }, 10);
  const now = Date.now();
  for (const [index, scheduleId] of ["a", "b", "c"].entries())
    await store.plan({ scheduleId, command: "{}" }, { publishAt: now - 10 + index });
  const { next } = await store.page(1, undefined);

  expect((await store.claim(1)).due).toEqual(["a"]);

  expect((await store.page(2, next)).page.map(({ scheduleId }) => scheduleId)).toEqual(["b", "c"]);
});

test("that it was published is remembered as long as of any delivery, in case it is published again", async () => {
  const prefix = freshPrefix();
  const gateway = await startGateway({ prefix, file: { ...file, idempotency: { ttlSeconds: 1 } } });
  const { redis } = await redisWorld();
  const { scheduleId } = (await later(gateway, 1, { delayMs: 0 })).body as { scheduleId: string };
  await eventually(async () => expect(await historyOf(gateway)).toHaveLength(1));

  const key = createKeys(prefix).channelIdempotency("chat:a", `scheduled:${scheduleId}`);
  expect(await redis.connection("commands").ttl(key)).toBeGreaterThan(3_000);
});

test("what cannot be published later is refused now", async () => {
  const gateway = await startGateway({ file });

  expect(await later(gateway, 1, { delayMs: 1, publishAt: 1 })).toMatchObject({ status: 400 });
  expect(await later(gateway, 1, { delayMs: -1 })).toMatchObject({ status: 400 });
  const inSeconds = await later(gateway, 1, { publishAt: Math.round(Date.now() / 1_000) + 60 });
  expect(inSeconds).toMatchObject({ status: 400, body: { field: "publishAt" } });
  expect(await later(gateway, 1, { publishAt: Date.now() + 400 * 86_400_000 })).toMatchObject({ status: 400 });
  expect(await later(gateway, 1, { delayMs: 1 }, { channel: "nobody:x" })).toMatchObject({
    status: 404,
    body: { code: "unknown_channel" },
  });
  expect(await later(gateway, "x".repeat(70_000), { delayMs: 1 })).toMatchObject({ status: 413 });
  expect(await gateway.call("GET", "/v1/scheduled?cursor=x")).toMatchObject({ status: 400 });
  expect((await gateway.call("GET", "/v1/scheduled")).body).toEqual({ scheduled: [] });
});

test("a repeat with the same idempotency key schedules nothing more, before and after it is published", async () => {
  const gateway = await startGateway({ file });
  const key = { idempotencyKey: "k-1" };

  const first = await later(gateway, 1, { delayMs: 150 }, key);
  const again = await later(gateway, 1, { delayMs: 150 }, key);
  const other = await later(gateway, 2, { delayMs: 150 }, key);
  await eventually(async () => expect(await historyOf(gateway)).toHaveLength(1));
  await nothingIsScheduled(gateway);
  const late = await later(gateway, 1, { delayMs: 150 }, key);

  expect(again).toMatchObject({ status: 202, body: first.body });
  expect(late).toMatchObject({ status: 202, body: first.body });
  expect(other).toMatchObject({ status: 409, body: { code: "conflict" } });
  expect((await gateway.call("GET", "/v1/scheduled")).body).toEqual({ scheduled: [] });
  // The same publication as an immediate one is its repeat.
  const immediate = { channel: "chat:a", event: "e", data: 1, ...key };
  expect((await gateway.call("POST", "/v1/publish", immediate)).body).toMatchObject({ offset: 1, duplicate: true });
});

test("what a killed node had planned and claimed is published by another, once", async () => {
  const prefix = freshPrefix();
  const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: prefix, LOG_LEVEL: "error" };
  const killed = await startNodeProcess({ nodeId: "killed", env, file });
  onTestFinished(async () => void (await killed.kill()));
  const count = 300;
  const planned = await Promise.all(
    Array.from({ length: count }, (_, n) => later(killed, n, { delayMs: 500 + (n % 50) * 4 })),
  );
  expect(planned.every(({ status }) => status === 202)).toBe(true);
  await eventually(async () => expect((await historyOf(killed)).length).toBeGreaterThan(20));
  await killed.kill();

  const other = await startGateway({ prefix, file });

  await eventually(async () => {
    const numbers = (await historyOf(other)).map(({ data }) => data as number);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n));
  });
  await nothingIsScheduled(other);
});

test("a scheduled publication keeps its sender, and those who do not receive it", async () => {
  const gateway = await startGateway({ file });
  const [ada, bob] = [
    await gateway.connect((await gateway.signIn("ada")).token),
    await gateway.connect((await gateway.signIn("bob")).token),
  ];
  for (const client of [ada, bob]) await client.emitWithAck("subscribe", { channel: "chat:a" });
  const from = { userId: "eve", info: { name: "Eve" } };

  await later(gateway, "first", { delayMs: 50 }, { from, except: "user:bob" });
  await eventually(() => expect(told(ada, "publication")).toHaveLength(1));
  await later(gateway, "second", { delayMs: 100 });

  await eventually(() => expect(told(bob, "publication")).toMatchObject([{ data: "second" }]));
  await eventually(() => expect(told(ada, "publication")).toMatchObject([{ data: "first", from }, { data: "second" }]));
});

test("one that its channel's limit refuses is listed and can be cancelled until it is published", async () => {
  const limits = { publications: { chat: { capacity: 1, refillPerSecond: 0.001 } } };
  const gateway = await startGateway({ file: { ...file, limits } });
  await gateway.call("POST", "/v1/publish", { channel: "chat:a", event: "e", data: "fills the bucket" });

  const { scheduleId, publishAt } = (await later(gateway, "late", { delayMs: 0 })).body;
  const waiting = { scheduleId, publishAt, channel: "chat:a", event: "e", data: "late" };
  const { redis } = await redisWorld();
  const failures = createKeys(gateway.prefix).scheduledFailures();
  await eventually(async () => expect(await redis.connection("commands").hget(failures, scheduleId)).toBe("1"));

  expect((await gateway.call("GET", "/v1/scheduled")).body.scheduled).toEqual([waiting]);
  expect((await gateway.call("DELETE", `/v1/scheduled/${scheduleId}`)).body).toEqual({ removed: true });
  expect(await redis.connection("commands").exists(failures)).toBe(0);
  await nothingIsScheduled(gateway);
  expect((await historyOf(gateway)).map(({ data }) => data)).toEqual(["fills the bucket"]);
});
