import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineContract } from "../../src/index.ts";
import { embed, join } from "../app/support.ts";
import { json, secret, startApp } from "../app/http-app.ts";
import { openClient, startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const contract = defineContract({
  state: {
    board: { title: z.string().max(5), "cursor:*": z.object({ x: z.number(), y: z.number().default(0) }) },
  },
  orders: {
    data: z.object({ total: z.int() }),
    events: { confirmed: z.object({ by: z.string() }) },
    signals: { place: z.object({ lat: z.number(), lon: z.number() }) },
  },
  leaderboards: { "race:*": z.object({ car: z.enum(["red", "blue"]) }) },
  namespaces: { "/admin": { ban: { input: z.object({ userId: z.string() }), answer: z.object({ ok: z.boolean() }) } } },
});

const channels = {
  board: { subscribe: "public", publish: "public", state: true },
  asked: { subscribe: "public", publish: "hook", state: true },
};

async function startWorld() {
  const gateway = await startGateway({ contract, file: { channels } });
  const client = await gateway.connect((await gateway.signIn("ann")).token);
  const refusalOf = async (method: string, path: string, body: object): Promise<string | undefined> => {
    const { body: answer } = await gateway.call(method, path, body);
    return answer.code === undefined ? undefined : `${answer.code} ${answer.detail}`;
  };
  return { gateway, client, refusalOf };
}

describe("state", () => {
  test("is checked by key, from clients and backends, and one change that is refused has no effect", async () => {
    const { gateway, client, refusalOf } = await startWorld();
    const set = async (key: string, value: unknown): Promise<string | undefined> => {
      const { error } = await client.emitWithAck("state:set", { channel: "board:1", key, value });
      return error && `${error.code} ${error.message}`;
    };
    const setAll = (...changes: object[]) => refusalOf("POST", "/v1/channels/board:1/state", { changes });

    expect(await set("title", "too long")).toMatch(/^bad_request value: /);
    expect(await set("cursor:ann", { x: "1" })).toBe("bad_request value.x: expected number, received string");
    expect(await set("colour", "red")).toBe(
      "bad_request key: is not in the contract of board, which has title, cursor:*",
    );
    expect(await setAll({ key: "title", value: "Plans" }, { key: "cursor:bob", value: {} })).toBe(
      "bad_request changes[1].value.x: is required",
    );
    expect(await set("cursor:ann", { x: 1, z: 2 })).toBeUndefined();
    expect(await setAll({ key: "title", value: "Plans" }, { key: "colour", value: null })).toBeUndefined();

    const { body } = await gateway.call("GET", "/v1/channels/board:1/state");
    expect(body.entries).toEqual({
      "cursor:ann": expect.objectContaining({ value: { x: 1, y: 0 } }),
      title: expect.objectContaining({ value: "Plans" }),
    });
  });

  test("that the app's hook changes is checked too", async () => {
    const own = defineContract({ channels: { asked: {} }, state: { asked: { "*": z.int() } } });
    const gateway = await embed({ channels, contract: own });
    gateway.hooks.publish(({ args: [data] }) => {
      const { key, value } = data as { key: string; value: number };
      return { data: { key, value: key === "broken" ? "text" : value * 2 } };
    });
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");
    const set = (key: string) => ann.emitWithAck("state:set", { channel: "asked:1", key, value: 2 });

    expect(await set("broken")).toMatchObject({ error: { code: "app_failed" } });
    expect(await set("fine")).toMatchObject({ ok: true });
    await expect(gateway.channels.setState("asked:1", { changes: [{ key: "own", value: 1.5 }] })).rejects.toMatchObject(
      { code: "bad_request", field: "changes[0].value" },
    );
    expect((await gateway.channels.state("asked:1")).entries).toMatchObject({ fine: { value: 4 } });
  });
});

describe("orders and scores", () => {
  test("are checked over HTTP, by order, status, signal and board", async () => {
    const { gateway, refusalOf } = await startWorld();
    const parties = { customer: "ann" };

    expect(await refusalOf("POST", "/v1/orders", { orderId: "o-1", parties })).toBe("bad_request data: is required");
    expect(await refusalOf("POST", "/v1/orders", { orderId: "o-1", parties, data: { total: 1.5 } })).toMatch(
      /^bad_request data\.total: /,
    );
    expect(
      await refusalOf("POST", "/v1/orders", { orderId: "o-1", parties, data: { total: 7, extra: 1 } }),
    ).toBeUndefined();
    expect(await refusalOf("PATCH", "/v1/orders/o-1", { data: {} })).toBe("bad_request data.total: is required");
    expect(await refusalOf("PATCH", "/v1/orders/o-1", { parties: { courier: "bob" } })).toBeUndefined();
    expect(await refusalOf("POST", "/v1/orders/o-1/events", { status: "confirmed" })).toBe(
      "bad_request data: is required",
    );
    expect(
      await refusalOf("POST", "/v1/orders/o-1/events", { status: "confirmed", data: { by: "eve" } }),
    ).toBeUndefined();
    expect(await refusalOf("POST", "/v1/orders/o-1/signals", { name: "place", data: { lat: 1 } })).toBe(
      "bad_request data.lon: is required",
    );
    expect(await refusalOf("POST", "/v1/orders/o-1/signals", { name: "mood", data: {} })).toBe(
      "bad_request name: is not in the contract of orders, which has place",
    );
    const scores = [
      { member: "ann", score: 1, data: { car: "red" } },
      { member: "bob", score: 2, data: { car: "pink" } },
    ];
    expect(await refusalOf("PUT", "/v1/leaderboards/race:1/scores/ann", { score: 1, data: {} })).toMatch(
      /^bad_request data\.car: /,
    );
    expect(await refusalOf("PUT", "/v1/leaderboards/daily/scores/ann", { score: 1 })).toBeUndefined();
    const { body } = await gateway.call("POST", "/v1/leaderboards/race:1/scores", { scores });
    expect(body.results).toMatchObject([
      { ok: true },
      { ok: false, error: { message: expect.stringContaining("scores[1].data.car") } },
    ]);

    const { body: read } = await gateway.call("GET", "/v1/orders/o-1");
    expect(read.order).toMatchObject({ status: "confirmed", data: { total: 7 }, parties: { courier: "bob" } });
    expect(read.order.data).toEqual({ total: 7 });
  });

  test("are checked in the commands stream, where a refusal is a dead letter", async () => {
    const { gateway } = await startWorld();
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(() => redis.disconnect());
    const send = (command: object) => redis.xadd(`${gateway.prefix}:commands`, "*", "command", JSON.stringify(command));

    await send({ type: "order.create", orderId: "o-1", parties: { customer: "ann" }, data: { total: "7" } });
    await send({ type: "score.submit", board: "race:1", member: "ann", score: 1, data: { car: "pink" } });

    await eventually(async () => {
      const letters = await gateway.gateway.services.deadLetters.list({ limit: 10 });
      expect(letters.map(({ reason }) => reason).toSorted()).toEqual([
        expect.stringMatching(/^data\.car: /),
        "data.total: expected number, received string",
      ]);
    });
  });
});

test("events of a namespace are checked by its own schemas, and so are the app's answers", async () => {
  const { url } = await startApp(
    json(({ json: { args } }) => ({ ack: [{ ok: args[0].userId === "bob" || "perhaps" }] })),
  );
  const app = { url, secret, namespaces: ["/admin", "/other"] };
  const gateway = await startGateway({ contract, file: { channels, app } });
  const { token } = await gateway.signIn("ann");
  const admin = openClient(`${gateway.url}/admin`, token);
  const other = openClient(`${gateway.url}/other`, token);

  expect(await admin.emitWithAck("ban", { userId: 7 })).toMatchObject({
    error: { code: "bad_request", message: "userId: expected string, received number" },
  });
  expect(await admin.emitWithAck("ban", { userId: "eve" })).toMatchObject({ error: { code: "app_failed" } });
  expect(await admin.emitWithAck("ban", { userId: "bob" })).toEqual({ ok: true });
  expect(await other.emitWithAck("ban", { userId: 7 })).toEqual({ ok: "perhaps" });
});

test.each([
  ["a kind without state", { state: { chat: { title: z.string() } } }, "no channel kind of this name has state"],
  ["a status that no order can have", { orders: { events: { lost: z.null() } } }, "no order can have this status"],
])("a contract with %s does not start", async (_, given, message) => {
  await expect(embed({ contract: defineContract(given as object) as never })).rejects.toThrow(message);
});

test("defineContract names the place of what is no schema and no name", () => {
  const define = (given: object) => () => defineContract(given);

  expect(define({ state: { board: { title: {} } } })).toThrow('state["board"]["title"]: is not a Standard Schema');
  expect(define({ orders: { data: 1 } })).toThrow("orders.data: is not a Standard Schema");
  expect(define({ orders: { signals: { place: {} } } })).toThrow('orders.signals["place"]: is not a Standard Schema');
  expect(define({ leaderboards: { daily: null } })).toThrow('leaderboards["daily"]: is not a Standard Schema');
  expect(define({ namespaces: { admin: {} } })).toThrow('namespaces["admin"]: must be a slash and a name');
  expect(define({ namespaces: { "/admin": { disconnect: z.null() } } })).toThrow("reserved");
});
