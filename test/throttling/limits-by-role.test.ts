import { describe, expect, test } from "vitest";
import type { RateLimitResult } from "../../src/throttling/rate-limit-result.ts";
import { startGateway, type Client } from "../support/gateway.ts";
import { freshPrefix } from "../support/world.ts";
import { startThrottlingNode } from "./support/nodes.ts";

const bucket = (capacity: number) => ({ capacity, refillPerSecond: 0.001 });

const limits = {
  messages: bucket(3),
  bytes: bucket(30_000),
  roles: { bot: { messages: bucket(1) }, staff: { messages: bucket(8), bytes: bucket(100_000) } },
};

describe("the messages of a user with a configured role", () => {
  test("have buckets of their own, exact over all nodes", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2].map(() => startThrottlingNode({ prefix, limits })));
    const allowed = async (user: { userId: string; roles: string[] }, bytes = 0): Promise<number> => {
      const results: RateLimitResult[] = [];
      for (let n = 0; n < 12; n += 1) {
        const connection = `${user.userId} ${user.roles.join()} ${n % 4}`;
        results.push(await nodes[n % 2]!.throttling.message(connection, user, "publish", bytes));
      }
      return results.filter((result) => result.allowed).length;
    };

    expect(await allowed({ userId: "ada", roles: [] })).toBe(3);
    expect(await allowed({ userId: "ada", roles: ["staff", "editor"] })).toBe(8);
    // Of several roles the one that the configuration names first.
    expect(await allowed({ userId: "ada", roles: ["staff", "bot"] })).toBe(1);
    expect(await allowed({ userId: "bob", roles: ["editor"] })).toBe(3);
    expect(await allowed({ userId: "cy", roles: ["staff"] }, 20_000)).toBe(5);
    expect(await allowed({ userId: "cy", roles: [] }, 20_000)).toBe(1);
  });

  test("take from the other bucket once a connection's roles change", async () => {
    const { throttling } = await startThrottlingNode({ prefix: freshPrefix(), limits });
    const allowed = async (roles: string[]): Promise<number> => {
      const results: RateLimitResult[] = [];
      for (let n = 0; n < 10; n += 1) results.push(await throttling.message("c", { userId: "u", roles }, "publish"));
      return results.filter((result) => result.allowed).length;
    };

    expect([await allowed([]), await allowed(["staff"]), await allowed([]), await allowed(["staff"])]).toEqual([
      3, 8, 0, 0,
    ]);
  });
});

const file = {
  limits: {
    messages: bucket(5),
    roles: { staff: { messages: bucket(8) } },
    sessions: { perUser: { requests: 3, windowSeconds: 3_600 }, perAddress: { requests: 4, windowSeconds: 3_600 } },
  },
};

const listOrders = async (client: Client, times: number): Promise<number> => {
  let allowed = 0;
  for (let n = 0; n < times; n += 1) {
    const { ok } = (await client.emitWithAck("orders:list", {})) as { ok: boolean };
    allowed += ok ? 1 : 0;
  }
  return allowed;
};

test("a role that is granted while a client is connected raises its limit at once", async () => {
  const { call, connect, signIn } = await startGateway({ file });
  const { sessionId, token } = await signIn("ada");
  const client = await connect(token);

  expect(await listOrders(client, 7)).toBe(5);
  await call("PATCH", `/v1/sessions/${sessionId}`, { roles: ["staff"] });

  expect(await listOrders(client, 10)).toBe(8);
});

describe("sessions that a backend creates", () => {
  test("are limited per user and per address, over all nodes, where that is configured", async () => {
    const prefix = freshPrefix();
    const [one, two] = await Promise.all([startGateway({ prefix, file }), startGateway({ prefix, file })]);
    const create = (node: typeof one, body: object) => node.call("POST", "/v1/sessions", body);

    const ofAda = [];
    for (const node of [one, two, one, two]) ofAda.push(await create(node, { userId: "ada" }));
    expect(ofAda.map(({ status }) => status)).toEqual([201, 201, 201, 429]);
    expect(ofAda[3]).toMatchObject({ body: { code: "rate_limited" } });
    expect(ofAda[3]?.body.retryAfterMs).toBeGreaterThan(3_000_000);
    expect(Number(ofAda[3]?.headers.get("retry-after"))).toBeGreaterThan(3_000);

    const statuses = [];
    for (let n = 0; n < 5; n += 1)
      statuses.push((await create(n % 2 ? one : two, { userId: `u-${n}`, address: `2001:db8::${n}` })).status);
    expect(statuses).toEqual([201, 201, 201, 201, 429]);
    expect((await create(one, { userId: "eve", address: "203.0.113.7" })).status).toBe(201);
    expect((await create(one, { userId: "eve", address: "nowhere" })).body).toMatchObject({ field: "address" });
    // What the address refused did not count for the user.
    for (let n = 0; n < 2; n += 1) expect((await create(two, { userId: "eve" })).status).toBe(201);
    expect((await create(two, { userId: "eve" })).status).toBe(429);
  });

  test("cost nothing if they are repeated with an idempotency key", async () => {
    const { call } = await startGateway({ file });
    const create = async (idempotencyKey: string) => call("POST", "/v1/sessions", { userId: "ada", idempotencyKey });

    const first = await create("a");
    for (let n = 0; n < 5; n += 1) expect((await create("a")).body).toEqual(first.body);
    const others = [await create("b"), await create("c"), await create("d")];

    expect(others.map(({ status }) => status)).toEqual([201, 201, 429]);
  });

  test("are not limited by default", async () => {
    const { call } = await startGateway();

    const created = await Promise.all(
      Array.from({ length: 30 }, () => call("POST", "/v1/sessions", { userId: "ada", address: "203.0.113.7" })),
    );

    expect(new Set(created.map(({ status }) => status))).toEqual(new Set([201]));
  });
});
