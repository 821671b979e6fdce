import { describe, expect, it } from "vitest";
import type { RedisClient } from "../../src/redis/connections.ts";
import { backend, startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually, redisWorld } from "../support/world.ts";

type Body = Record<string, unknown>;
type Write = [method: string, path: string, body?: Body];

const header = (key: string) => ({ "idempotency-key": key });

const operator = "operator-secret-of-at-least-thirty-two-bytes";

interface Described {
  parameters?: { name: string }[];
}

/** Every write of the API that has a body, or may have one. */
async function writesOf({ call, signIn }: TestGateway): Promise<Write[]> {
  const { sessionId } = await signIn("ada");
  const { token } = await signIn("bob");
  await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
  const publication = { channel: "news:a", event: "said", data: 1 };
  return [
    ["POST", "/v1/publish", publication],
    ["POST", "/v1/publish/batch", { publications: [publication, publication] }],
    ["POST", "/v1/broadcast", { channels: ["news:a", "news:b"], event: "said", data: 1 }],
    ["POST", "/v1/sessions", { userId: "ada" }],
    ["POST", `/v1/sessions/${sessionId}/token`, {}],
    ["POST", "/v1/tokens/revoke", { token }],
    ["POST", "/v1/users/cy/disconnect", { message: "Bye." }],
    ["PUT", "/v1/leaderboards/b/scores/ada", { score: 5, mode: "increment" }],
    ["POST", "/v1/leaderboards/b/scores", { scores: [{ member: "ada", score: 5, mode: "increment" }] }],
    ["POST", "/v1/orders", { orderId: "o-2", parties: { customer: "ada" } }],
    ["POST", "/v1/orders/o-1/events", { status: "confirmed" }],
    ["POST", "/v1/orders/o-1/signals", { name: "place", data: 1 }],
  ];
}

/** `duplicate` is the one thing in which a repeat may differ. */
const unmarked = (answer: unknown): unknown =>
  JSON.parse(JSON.stringify(answer, (name, value: unknown) => (name === "duplicate" ? undefined : value)));

describe("an idempotency key", () => {
  it("makes a repeat of any write answer as the first, whether it comes in the body or in the header", async () => {
    const node = await startGateway();

    for (const [method, path, body] of await writesOf(node)) {
      const first = await node.call(method, path, { ...body, idempotencyKey: "k" });
      const repeats = [
        await node.call(method, path, { ...body, idempotencyKey: "k" }),
        await node.call(method, path, body, header("k")),
      ];

      expect(path + first.status).toMatch(/20[0-2]$/);
      for (const repeat of repeats) {
        expect([path, repeat.status, unmarked(repeat.body)]).toEqual([path, first.status, unmarked(first.body)]);
      }
    }
  });

  it("does the same for writes without a body", async () => {
    const { call, signIn } = await startGateway();
    const { sessionId } = await signIn("ada");
    await signIn("bob");
    await call("PUT", "/v1/leaderboards/b/scores/ada", { score: 5 });

    for (const [method, path] of [
      ["POST", `/v1/sessions/${sessionId}/token`],
      ["DELETE", `/v1/sessions/${sessionId}`],
      ["DELETE", "/v1/users/bob/sessions"],
      ["DELETE", "/v1/leaderboards/b/members/ada"],
      ["POST", "/v1/users/cy/disconnect"],
    ] as const) {
      const first = await call(method, path, undefined, header("k"));
      const repeats = [
        await call(method, path, undefined, header("k")),
        await call(method, path, { idempotencyKey: "k" }),
      ];

      expect(path + first.status).toMatch(/20[0-2]$/);
      for (const { status, body } of repeats) expect([path, status, body]).toEqual([path, first.status, first.body]);
    }
    expect(await call("DELETE", "/v1/users/cy/block", { reason: "over" })).toMatchObject({ status: 200 });
    const wrong = await call("DELETE", "/v1/users/cy/block", { idempotencyKey: 7 });
    expect(wrong).toMatchObject({ status: 400, body: { code: "bad_request", field: "idempotencyKey" } });
  });

  it("means nothing to calls that only read: they answer anew, and are described without it", async () => {
    const { call } = await startGateway({ env: { OPERATORS: `ada:${operator}:admin` } });
    const ranks = () => call("POST", "/v1/leaderboards/b/ranks", { members: ["ada"] }, header("k"));
    const scores: unknown[] = [];

    for (const score of [5, 7]) {
      await call("PUT", "/v1/leaderboards/b/scores/ada", { score });
      scores.push((await ranks()).body.entries[0].score);
    }

    expect(scores).toEqual([5, 7]);
    const { paths } = (await call("GET", "/openapi.json")).body as { paths: Record<string, Record<string, Described>> };
    const calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, one]) => ({ name: `${method} ${path}`, isRead: method === "get", ...one })),
    );
    const takesKey = ({ parameters = [] }: Described) => parameters.some(({ name }) => name === "Idempotency-Key");
    expect(calls.filter((one) => takesKey(one) === one.isRead).map(({ name }) => name)).toEqual([
      "post /v1/leaderboards/{board}/ranks",
      "post /v1/operator/session",
      "delete /v1/operator/session",
      "post /v1/operator/why",
    ]);
  });

  it("makes a repeat of an operator's act answer as the first", async () => {
    const { url } = await startGateway({ env: { OPERATORS: `ada:${operator}:admin` } });
    const trace = (key: string) =>
      backend(url, operator).call("POST", "/v1/operator/traces", { userId: "ada" }, header(key));

    const [first, repeat, other] = [await trace("k"), await trace("k"), await trace("l")];

    expect([first.status, repeat.status, other.status]).toEqual([201, 201, 201]);
    expect(repeat.body).toEqual(first.body);
    expect(other.body).not.toEqual(first.body);
  });

  it("is not told to those whose connection a backend closes", async () => {
    const { call, signIn, connect } = await startGateway();
    const client = await connect((await signIn("ada")).token);
    const closing = new Promise((resolve) => client.once("closing", resolve));

    await call("POST", "/v1/users/ada/disconnect", { message: "Bye.", idempotencyKey: "k" });

    expect(await closing).toEqual({ code: "disconnected_by_backend", message: "Bye.", reconnect: false });
  });
});

describe("an entry of the commands stream", () => {
  it("is remembered for longer than the idempotency keys of backends", async () => {
    const file = { idempotency: { ttlSeconds: 1 }, commands: { deduplicationSeconds: 7_200 }, leaderboards: { b: {} } };
    const { prefix, call } = await startGateway({ file });
    const { redis } = await redisWorld();
    const commands = redis.connection("commands");
    await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });

    for (const command of [
      { type: "publish", channel: "news:a", event: "said", data: 1 },
      { type: "order.signal", orderId: "o-1", name: "place", data: 1 },
      { type: "score.submit", board: "b", member: "ada", score: 5 },
      { type: "user.disconnect", userId: "ada", idempotencyKey: "k" },
    ])
      await commands.xadd(`${prefix}:commands`, "*", "command", JSON.stringify(command));

    await eventually(async () => {
      const patterns = ["*:once:*", "*:signalled:*", ":{once:*"];
      const found = await Promise.all(patterns.map((pattern) => scan(commands, `${prefix}${pattern}`)));
      const ttls = await Promise.all(found.flat().map((key) => commands.ttl(key)));

      expect(found.map(({ length }) => length)).toEqual([2, 1, 1]);
      expect(Math.min(...ttls)).toBeGreaterThan(7_000);
    });
  });
});

async function scan(commands: RedisClient, pattern: string): Promise<string[]> {
  const found: string[] = [];
  let cursor = "0";
  do {
    const [next, keys] = await commands.scan(cursor, "MATCH", pattern, "COUNT", 10_000);
    found.push(...keys);
    cursor = next;
  } while (cursor !== "0");
  return found;
}
