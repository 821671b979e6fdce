import { expect, test } from "vitest";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

/** Gains nothing while a test runs. */
const limit = { capacity: 20, refillPerSecond: 0.001 };
const file = { channels: { chat: { subscribe: "public" } }, limits: { publications: { chat: limit } } };

const publication = (n: number) => ({ channel: "chat:1", event: "said", data: n, idempotencyKey: `k-${n}` });

test("a batch larger than its channel's bucket ends when it is repeated, for what was published costs nothing again", async () => {
  const { call } = await startGateway({
    file: { ...file, limits: { publications: { chat: { ...limit, refillPerSecond: 50 } } } },
  });
  const batch = { publications: Array.from({ length: 60 }, (_, n) => publication(n)) };
  const send = async () => (await call("POST", "/v1/publish/batch", batch)).body.results as { ok: boolean }[];

  await eventually(async () => expect((await send()).every(({ ok }) => ok)).toBe(true));

  expect((await call("GET", "/v1/channels/chat%3A1/history")).body.offset).toBe(60);
});

test("repeats pass an empty bucket, one after the other and at once over nodes; what is new does not", async () => {
  const one = await startGateway({ file });
  const two = await startGateway({ file, prefix: one.prefix });
  const publish = (n: number, node = one) => node.call("POST", "/v1/publish", publication(n));

  const first = await Promise.all([one, two, one, two, one, two].map((node) => publish(0, node)));
  expect(first.filter(({ body }) => body.duplicate === false)).toHaveLength(1);
  // What those paid that turned out to be repeats comes back a moment later.
  for (let n = 1; n < limit.capacity; n++) {
    await eventually(async () => expect((await publish(n)).status).toBe(200));
  }

  expect(await publish(20)).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  for (let n = 0; n < limit.capacity; n++) {
    expect(await publish(n, two)).toMatchObject({ status: 200, body: { duplicate: true, offset: n + 1 } });
  }
  expect((await one.call("POST", "/v1/publish", { ...publication(0), data: "other" })).status).toBe(409);
});

test("repeats of ephemeral publications pass an empty bucket too", async () => {
  const { call } = await startGateway({
    file: { ...file, limits: { publications: { chat: { ...limit, capacity: 2 } } } },
  });
  const publish = (n: number) => call("POST", "/v1/publish", { ...publication(n), ephemeral: true });

  const answers = [await publish(0), await publish(1), await publish(2), await publish(0), await publish(1)];

  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 200, 200]);
});

test.each([false, true])(
  "of publications at once with one key, those refused as others cost nothing (ephemeral: %s)",
  async (ephemeral) => {
    const { call } = await startGateway({ file });
    const publish = (key: number, data: number) =>
      call("POST", "/v1/publish", { ...publication(key), data, ephemeral: ephemeral || undefined });

    const first = await Promise.all(Array.from({ length: 10 }, (_, n) => publish(0, n)));

    const count = (wanted: number) => first.filter(({ status }) => status === wanted).length;
    expect([count(200), count(409)]).toEqual([1, 9]);
    // What those paid comes back a moment later.
    for (let n = 1; n < limit.capacity; n++)
      await eventually(async () => expect((await publish(n, n)).status).toBe(200));
    expect(await publish(20, 20)).toMatchObject({ status: 429 });
  },
);

test.each([false, true])(
  "repeats do not count as publications, whoever sends them (ephemeral: %s)",
  async (ephemeral) => {
    const { call, connect, signIn, url } = await startGateway({
      file: { channels: { chat: { subscribe: "public", publish: "public" } } },
    });
    const client = await connect((await signIn("ada")).token);
    const counted = async () => {
      const text = await (await fetch(`${url}/metrics`)).text();
      const counts = [...text.matchAll(/^gateway_publications_total\{.*door="(\w+)".*\} (\d+)$/gm)];
      return Object.fromEntries(counts.map(([, door, count]) => [door, Number(count)]));
    };
    const message = { ...publication(1), ephemeral: ephemeral || undefined };

    for (let time = 0; time < 3; time++) {
      expect(await call("POST", "/v1/publish", message)).toMatchObject({ status: 200, body: { channel: "chat:1" } });
      expect(await client.emitWithAck("publish", message)).toMatchObject({ ok: true, channel: "chat:1" });
    }

    expect(await counted()).toMatchObject({ http: 1, client: 1 });
  },
);
