import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { operations } from "../../src/publisher/backend-operations.ts";
import { createPublisher, type HttpPublisher, overHttp } from "../../src/publisher/publisher.ts";
import { apiKey, startGateway } from "../support/gateway.ts";

/** Operations that the publisher offers as commands, under their own names. */
const commands = [
  "publish",
  "publishBatch",
  "broadcast",
  "createOrder",
  "applyOrderEvent",
  "updateOrder",
  "updateSession",
  "signalOrder",
  "submitScore",
  "endSession",
  "disconnectUser",
];

/** Operations for clients and operators, and streams, which are not calls. */
const notForBackends = ["healthz", "readyz", "metrics", "openStream", "pollChannel"];

/** A call of its own for what the HTTP API does in one with another. */
const ownNames = ["schedulePublication"];

interface OpenApi {
  paths: Record<string, Record<string, { operationId?: string }>>;
}

describe("a publisher over HTTP", () => {
  async function start() {
    const gateway = await startGateway({ file: { leaderboards: { "*": { mode: "best" } } } });
    const publisher: HttpPublisher = createPublisher(overHttp({ url: gateway.url, apiKey }));
    onTestFinished(() => publisher.close());
    return { gateway, publisher };
  }

  test("has a call for every operation of the HTTP API", async () => {
    const { gateway } = await start();
    const { paths } = (await gateway.call("GET", "/openapi.json")).body as OpenApi;
    const described = Object.entries(paths)
      .filter(([path]) => path.startsWith("/v1/") && !path.startsWith("/v1/operator/"))
      .flatMap(([path, methods]) =>
        Object.entries(methods).map(
          ([method, { operationId = "" }]) => `${operationId} ${method.toUpperCase()} ${path}`,
        ),
      )
      .filter((operation) => ![...commands, ...notForBackends].includes(operation.split(" ")[0] ?? ""));

    const offered = Object.entries(operations)
      .filter(([id]) => !ownNames.includes(id))
      .map(([id, [method, path]]) => `${id} ${method} ${path}`);

    expect(described.toSorted()).toEqual(offered.toSorted());
  });

  test("reads channels, history, presence, orders and boards", async () => {
    const { gateway, publisher } = await start();
    const { token } = await publisher.createSession({ userId: "ada" });
    const ada = await gateway.connect(token ?? "");
    await ada.emitWithAck("subscribe", { channel: "chat:lobby" });
    const first = await publisher.publish({ channel: "chat:lobby", event: "said", data: 1 });
    await publisher.publish({ channel: "chat:lobby", event: "said", data: 2 });

    expect(await publisher.listChannels({ prefix: "chat:" })).toEqual({
      channels: [{ channel: "chat:lobby", subscribers: 1 }],
    });
    const { publications } = await publisher.readHistory({ channel: "chat:lobby", since: first, limit: 5 });
    expect(publications.map(({ data }) => data)).toEqual([2]);
    expect(await publisher.readPresence({ channel: "chat:lobby" })).toMatchObject({ count: 1 });

    await publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    expect((await publisher.readOrder({ orderId: "o-1" })).order.status).toBe("created");

    const scores = [
      { member: "ada", score: 2 },
      { member: "bob", score: 1 },
    ];
    const { results } = await publisher.submitScores({ board: "daily", scores });
    expect(results).toMatchObject([{ ok: true }, { ok: true }]);
    expect((await publisher.readBoard({ board: "daily", limit: 1 })).entries).toMatchObject([{ member: "ada" }]);
    expect((await publisher.readBoardMember({ board: "daily", member: "bob" })).entry).toMatchObject({ rank: 2 });
    expect(await publisher.removeBoardMember({ board: "daily", member: "bob" })).toEqual({ removed: true });
  });

  test("manages sessions and tokens", async () => {
    const { publisher } = await start();
    const { sessionId, token } = await publisher.createSession({ userId: "ada", roles: ["staff"] });

    expect((await publisher.issueToken({ sessionId })).token).not.toBe(token);
    expect((await publisher.issueTicket({ sessionId })).ticket).toEqual(expect.any(String));
    expect((await publisher.listUserSessions({ userId: "ada" })).sessions).toMatchObject([{ sessionId }]);
    expect(await publisher.revokeToken({ token: token ?? "" })).toMatchObject({ acknowledged: 1 });
    expect(await publisher.endUserSessions({ userId: "ada" })).toMatchObject({ revoked: 1 });
  });

  test("lists, blocks, limits and deletes", async () => {
    const { publisher } = await start();
    const { sessionId } = await publisher.createSession({ userId: "ada" });
    await publisher.publish({ channel: "chat:lobby", event: "said", data: 1 });
    await publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    await publisher.submitScore({ board: "daily", member: "ada", score: 1 });

    expect((await publisher.getSession({ sessionId })).session).toMatchObject({ sessionId });
    expect((await publisher.refreshSession({ sessionId })).expiresAt).toBeGreaterThan(Date.now());
    expect((await publisher.listUserConnections({ userId: "ada" })).connections).toEqual([]);
    expect((await publisher.listOrders({ user: "ada" })).orders).toHaveLength(1);
    expect((await publisher.readRanks({ board: "daily", members: ["ada"] })).entries).toHaveLength(1);
    expect(await publisher.blockUser({ userId: "ada", reason: "spam" })).toMatchObject({ disconnected: 0 });
    expect(await publisher.unblockUser({ userId: "ada" })).toMatchObject({ disconnected: 0 });
    await expect(publisher.takeLimit({ name: "none", key: "ada" })).rejects.toMatchObject({ code: "not_found" });
    expect(await publisher.deleteHistory({ channel: "chat:lobby" })).toEqual({ removed: 1 });
    expect(await publisher.setState({ channel: "board:1", changes: [{ key: "a", value: 1 }] })).toEqual({
      revision: 1,
    });
    expect((await publisher.readState({ channel: "board:1" })).entries).toMatchObject({ a: { value: 1 } });
    const updated = await publisher.updateOrder({ orderId: "o-1", parties: { courier: "bob" } });
    expect(updated.order.parties).toEqual({ customer: "ada", courier: "bob" });
    expect((await publisher.getUser({ userId: "ada" })).orders).toMatchObject([{ orderId: "o-1" }]);
    expect((await publisher.eraseUser({ userId: "bob" })).removed).toMatchObject({ parties: 1, orders: 0 });
    await publisher.removeOrder({ orderId: "o-1" });
    await publisher.removeBoard({ board: "daily" });
    expect((await publisher.listBoards({})).boards).toEqual([]);
  });

  test("rejects with the gateway's code, once, and names the call", async () => {
    const { publisher } = await start();

    await expect(publisher.readOrder({ orderId: "none" })).rejects.toMatchObject({
      code: "not_found",
      operation: "readOrder",
      attempts: 1,
    });
    await publisher.close();
    await expect(publisher.readOrder({ orderId: "none" })).rejects.toMatchObject({ code: "closed" });
  });

  test("retries a write with the same key, so that it takes effect once", async () => {
    const { gateway } = await start();
    const transport = overHttp({ url: gateway.url, apiKey });
    let calls = 0;
    const loses: typeof transport = {
      ...transport,
      async request(request) {
        calls += 1;
        const result = await transport.request(request);
        const failure = { code: "unreachable" as const, message: "lost" };
        return calls === 1 ? { ok: false, failure, isTemporary: true } : result;
      },
    };
    const publisher = createPublisher(loses, { minDelayMs: 1 });

    const { sessionId } = await publisher.createSession({ userId: "ada" });

    expect(calls).toBe(2);
    expect((await publisher.listUserSessions({ userId: "ada" })).sessions).toMatchObject([{ sessionId }]);
  });
});

describe("nothing that is passed to a publisher", () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  beforeAll(() => void process.on("unhandledRejection", onUnhandled));
  afterAll(() => void process.off("unhandledRejection", onUnhandled));

  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  let reads = 0;
  const failsLater = { toJSON: () => ((reads += 1) > 1 ? 1n : "fine the first time") };
  const throws = {
    get text(): string {
      throw new Error("a getter");
    },
  };

  test("is an unhandled rejection, and what cannot be encoded fails alone as bad_request", async () => {
    const sent: unknown[] = [];
    const failures: string[] = [];
    const publisher = createPublisher(
      {
        needsKey: () => false,
        send: async (commands) => {
          sent.push(...(JSON.parse(JSON.stringify(commands)) as { data: unknown }[]).map(({ data }) => data));
          return commands.map(() => ({ ok: true as const, answer: {} }));
        },
      },
      {
        onFailure: ({ code, field }) => {
          failures.push(`${code} ${field}`);
          throw new Error("a defect of the application");
        },
      },
    );
    const publish = (data: unknown) => publisher.publish({ channel: "chat:a", event: "said", data } as never);
    process.once("warning", () => undefined);

    for (const data of [1n, cyclic, throws, failsLater, Symbol("gone"), 7]) void publish(data);
    void publisher.publish({ channel: Symbol("name") as never, event: "said", data: 1 });
    void publisher.send(undefined as never);
    void publisher.broadcast(undefined as never, undefined as never);
    await publisher.flush();
    await new Promise((resolve) => setImmediate(resolve));

    const fields = ["data", "data", "data", "channel", "undefined", "channel"];
    expect(failures).toEqual(fields.map((field) => `bad_request ${field}`));
    expect(sent).toEqual(["fine the first time", undefined, 7]);
    expect(unhandled).toEqual([]);
  });

  test("is lost to later changes of the application's object", async () => {
    const sent: unknown[] = [];
    const send = async (commands: readonly unknown[]) => {
      sent.push(...commands.map((command) => (command as { data: unknown }).data));
      return commands.map(() => ({ ok: true as const, answer: {} }));
    };
    const publisher = createPublisher({ needsKey: () => false, send });
    const data = { text: "before" };

    const published = publisher.publish({ channel: "chat:a", event: "said", data });
    data.text = "after";
    await published;

    expect(sent).toEqual([{ text: "before" }]);
  });

  test("makes a call reject otherwise than with bad_request, if it cannot be encoded", async () => {
    const publisher = createPublisher(overHttp({ url: "http://127.0.0.1:1", apiKey }));

    await expect(publisher.readOrder({ orderId: ".." })).rejects.toMatchObject({
      code: "bad_request",
      field: "orderId",
    });
    await expect(publisher.readOrder(undefined as never)).rejects.toMatchObject({ code: "bad_request" });
    await expect(publisher.createSession({ userId: "ada", data: cyclic })).rejects.toMatchObject({
      code: "bad_request",
      attempts: 0,
    });
    void publisher.readOrder({ orderId: "" });
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
  });
});
