import { randomUUID } from "node:crypto";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createKinds } from "../../src/channels/kinds.ts";
import { createPermissions } from "../../src/channels/permissions.ts";
import { createOrderHandlers } from "../../src/connections/handlers/orders.ts";
import { route } from "../../src/http/route.ts";
import { idempotent } from "../../src/http/routes/idempotent.ts";
import { createOrderRoutes } from "../../src/http/routes/orders.ts";
import { startHttp } from "../http/support.ts";
import { createPublishingNode } from "../support/publishing-node.ts";
import { timed } from "../support/promised.ts";
import { freshPrefix } from "../support/world.ts";

async function startApi(prefix = freshPrefix()) {
  const node = await createPublishingNode({ url: inject("redisUrl"), prefix, nodeId: randomUUID() });
  onTestFinished(() => node.close());
  const { call } = await startHttp({ routes: createOrderRoutes(node) });
  return { ...node, call };
}

const order = { orderId: "o-1", parties: { customer: "ada", courier: "bob" }, data: { items: 2 } };
const keyed = (key: string) => ({ "idempotency-key": key });

describe("orders over HTTP", () => {
  test("are created, moved and read, each response with its status", async () => {
    const { call } = await startApi();
    const event = (body: object) => call("/v1/orders/o-1/events", { body });

    const created = await call("/v1/orders", { body: order });
    const again = await call("/v1/orders", { body: order });
    const other = await call("/v1/orders", { body: { ...order, data: null } });
    const held = await event({ status: "cooking", sequence: 2, occurredAt: 5, data: "x" });
    const applied = await event({ status: "confirmed", sequence: 1, eventId: "a" });
    const repeated = await event({ status: "confirmed", sequence: 1, eventId: "a" });
    const illegal = await event({ status: "created" });
    const read = await call("/v1/orders/o-1");

    expect([created.status, again.status, other.status]).toEqual([201, 201, 409]);
    expect(again.json).toEqual(created.json);
    expect(other.json).toMatchObject({ code: "conflict", field: "orderId" });
    expect([held.status, held.json.applied, held.json.reason]).toEqual([202, false, "held"]);
    expect([applied.status, applied.json.applied]).toEqual([200, true]);
    expect(applied.json.order).toMatchObject({ status: "cooking", sequence: 2 });
    expect([repeated.status, repeated.json.reason]).toEqual([200, "duplicate"]);
    expect([illegal.status, illegal.json.code]).toEqual([409, "illegal_transition"]);
    expect(read.json.timeline.map(({ status }: { status: string }) => status)).toEqual([
      "created",
      "confirmed",
      "cooking",
    ]);
  });

  test("refuse invalid input naming the field", async () => {
    const { call } = await startApi();
    await call("/v1/orders", { body: order });
    const fieldOf = async (path: string, body: object) => (await call(path, { body })).json.field;

    expect(await fieldOf("/v1/orders", { orderId: "o", parties: {} })).toBe("parties.customer");
    expect(await fieldOf("/v1/orders", { orderId: "o", parties: { customer: "" } })).toBe("parties.customer");
    expect(await fieldOf("/v1/orders", { orderId: "x".repeat(251), parties: { customer: "a" } })).toBe("orderId");
    expect(await fieldOf("/v1/orders", { ...order, orderId: "p", status: "nowhere" })).toBe("status");
    expect((await call("/v1/orders?status=nowhere")).json).toMatchObject({ code: "bad_request", field: "status" });
    expect((await call("/v1/orders?status=confirmed")).json).toEqual({ orders: [] });
    expect(await fieldOf("/v1/orders/o-1/events", { status: "confirmed", sequence: 0 })).toBe("sequence");
    expect(await fieldOf("/v1/orders/o-1/events", { status: "confirmed", more: 1 })).toBe("more");
    expect(await fieldOf("/v1/orders/o-1/signals", { name: "place" })).toBe("data");
    expect(await fieldOf("/v1/orders/o-1/events", { status: "confirmed", data: "x".repeat(65_535) })).toBe("data");
    expect((await call("/v1/orders/none")).status).toBe(404);
    expect((await call("/v1/orders/none/events", { body: { status: "confirmed" } })).status).toBe(404);
    expect((await call("/v1/orders/none/signals", { body: { name: "place", data: 1 } })).status).toBe(404);
  });

  test("with an idempotency key answer a repeat as the first time, on any node", async () => {
    const prefix = freshPrefix();
    const [near, far] = [await startApi(prefix), await startApi(prefix)];
    await near.call("/v1/orders", { body: order });
    const confirm = { body: { status: "confirmed" }, headers: keyed("k") };

    const first = await near.call("/v1/orders/o-1/events", confirm);
    await near.call("/v1/orders/o-1/events", { body: { status: "cooking" } });
    const repeat = await far.call("/v1/orders/o-1/events", confirm);
    const other = await far.call("/v1/orders/o-1/events", { body: { status: "cancelled" }, headers: keyed("k") });
    const inBody = await far.call("/v1/orders/o-1/events", { body: { status: "confirmed", idempotencyKey: "k" } });

    expect(repeat).toMatchObject({ status: 200, json: first.json });
    expect(inBody.json).toEqual(first.json);
    expect(other).toMatchObject({ status: 409, json: { code: "conflict" } });
    expect((await near.call("/v1/orders/o-1")).json.order.status).toBe("cooking");
  });

  test("signals are stored, and the response names their channel", async () => {
    const { call } = await startApi();
    await call("/v1/orders", { body: order });

    const answer = await call("/v1/orders/o-1/signals", { body: { name: "place", data: [1, 2] } });

    expect(answer).toMatchObject({ status: 200, json: { channel: "order:o-1" } });
    expect((await call("/v1/orders/o-1")).json.order.signals.place.data).toEqual([1, 2]);
  });
});

test(
  "parties and configured roles read an order; orders of others and unknown orders take the same time to refuse",
  timed,
  async () => {
    const { orders } = await startApi();
    await orders.create(order);
    const permissions = createPermissions({
      kinds: createKinds({ order: { subscribe: ["role:support"] } }),
      mayReadOrder: (orderId, userId) => orders.mayRead(orderId, userId),
    });
    const [handler] = createOrderHandlers({ orders, permissions });
    const get = async (userId: string, orderId: string, roles: string[] = []) =>
      handler!.handle(
        { identity: { userId, roles, channels: { subscribe: [], publish: [] } } } as unknown as Parameters<
          NonNullable<typeof handler>["handle"]
        >[0],
        { orderId },
      );
    const timeOf = async (orderId: string): Promise<number> => {
      const start = performance.now();
      await expect(get("eve", orderId)).rejects.toMatchObject({ code: "forbidden" });
      return performance.now() - start;
    };

    expect(await get("ada", "o-1")).toMatchObject({ order: { orderId: "o-1" }, timeline: [{ status: "created" }] });
    expect(await get("eve", "o-1", ["support"])).toMatchObject({ order: { orderId: "o-1" } });
    await expect(get("eve", "o-2", ["support"])).rejects.toMatchObject({ code: "forbidden" });
    const foreign: number[] = [];
    const unknown: number[] = [];
    for (let round = 0; round < 300; round++) {
      foreign.push(await timeOf("o-1"));
      unknown.push(await timeOf("o-2"));
    }
    const ratio = median(foreign) / median(unknown);
    expect(ratio).toBeGreaterThan(0.6);
    expect(ratio).toBeLessThan(1.7);
  },
);

test("whoever is taken off an order while it is read is answered nothing of it", async () => {
  const { orders } = await startApi();
  await orders.create(order);
  const answers = [true, false];
  const permissions = createPermissions({ kinds: createKinds({}), mayReadOrder: async () => answers.shift() === true });
  const [handler] = createOrderHandlers({ orders, permissions });
  const ada = { identity: { userId: "ada", channels: { subscribe: [], publish: [] } } };

  const read = handler!.handle(ada as unknown as Parameters<NonNullable<typeof handler>["handle"]>[0], {
    orderId: "o-1",
  });

  await expect(read).rejects.toMatchObject({ code: "forbidden" });
  expect(answers).toEqual([]);
});

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;

test("any write answers a repeat as the first time", async () => {
  const { executor } = await startApi();
  let calls = 0;
  const write = route(
    {
      method: "post",
      path: "/v1/things/{thing}",
      operationId: "makeThing",
      tag: "Things",
      summary: "Make a thing.",
      params: z.strictObject({ thing: z.string() }),
      body: z.strictObject({ size: z.int() }),
      answer: z.unknown(),
    },
    async () => ({ status: 201, headers: { "x-made": "yes" }, body: { call: ++calls } }),
  );
  const { call } = await startHttp({ routes: [idempotent(write, executor)] });
  const make = (thing: string, size: number, key: string) =>
    call(`/v1/things/${thing}`, { body: { size }, headers: keyed(key) });

  const answers = await Promise.all(Array.from({ length: 20 }, () => make("a", 1, "k")));

  expect(answers.map(({ status, json }) => [status, json.call])).toEqual(answers.map(() => [201, 1]));
  expect(answers[19]!.headers.get("x-made")).toBe("yes");
  expect((await make("a", 2, "k")).status).toBe(409);
  expect((await make("b", 1, "k")).json.call).toBe(2);
});
