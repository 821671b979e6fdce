import { describe, expect, test } from "vitest";
import { keyOf, sign } from "../../src/webhooks/signature.ts";
import { startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { json, secret, startApp, type Answer, type Forwarded } from "./http-app.ts";

async function gatewayFor(answer: Answer): Promise<{ gateway: TestGateway; client: Client; requests: Forwarded[] }> {
  const { url, requests } = await startApp(answer);
  const gateway = await startGateway({
    file: { channels: { chat: { subscribe: "public" } }, app: { url, secret, timeoutMs: 1_000 } },
  });
  const client = await gateway.connect((await gateway.signIn("ann")).token);
  return { gateway, client, requests };
}

test("an event is forwarded, signed, with its user, and acknowledged with what the app answers", async () => {
  const { client, requests } = await gatewayFor(json(({ json: { args } }) => ({ ack: [...args, { done: true }] })));

  const acknowledged = await new Promise<unknown[]>((resolve) =>
    client.emit("move", 1, Buffer.from([7]), (...args: unknown[]) => resolve(args)),
  );

  expect(acknowledged).toEqual([1, Buffer.from([7]), { done: true }]);
  const [{ headers, body, json: sent }] = requests as [Forwarded];
  expect(sent).toMatchObject({
    type: "event",
    event: "move",
    args: [1, { $binary: "Bw==" }],
    namespace: "/",
    connection: { connectionId: client.id },
    user: { userId: "ann", roles: [] },
  });
  const signed = { id: String(headers["webhook-id"]), timestamp: Number(headers["webhook-timestamp"]), body };
  expect(headers["webhook-signature"]).toBe(sign(keyOf(secret), signed));
  expect(sent.id).toBe(headers["webhook-id"]);
});

test("effects subscribe, publish, emit and disconnect", async () => {
  const { client } = await gatewayFor(
    json(({ json: { event } }) =>
      event === "leave"
        ? { ack: ["bye"], disconnect: { message: "as you wish" } }
        : {
            subscribe: ["chat:lobby"],
            publish: [{ channel: "chat:lobby", event: "joined", data: { userId: "ann" } }],
            emit: [{ event: "welcome", args: ["ann", 1] }],
          },
    ),
  );

  client.emit("enter");
  await eventually(() => expect(client.events.map(([name]) => name)).toContain("publication"));
  expect(client.events).toContainEqual(["welcome", "ann", 1]);
  expect(await client.emitWithAck("leave")).toBe("bye");

  await eventually(() =>
    expect(client.events).toContainEqual([
      "closing",
      expect.objectContaining({ code: "disconnected_by_backend", message: "as you wish" }),
    ]),
  );
});

test("an app closes a connection with a code of its own choice, but cannot send an event of the gateway", async () => {
  const { client } = await gatewayFor(
    json(({ json: { event } }) =>
      event === "block"
        ? { disconnect: { code: "user_blocked", message: "not welcome", reconnect: false } }
        : { emit: [{ event: "closing", args: [{ code: "drain" }] }] },
    ),
  );

  expect(await client.emitWithAck("imitate")).toMatchObject({ ok: false, error: { code: "app_failed" } });
  client.emit("block");

  await eventually(() =>
    expect(client.events.filter(([name]) => name === "closing")).toEqual([
      ["closing", { code: "user_blocked", message: "not welcome", reconnect: false }],
    ]),
  );
});

test("an event takes as many tokens of the user's messages as it is said to cost", async () => {
  const { url } = await startApp(json(({ json: { event } }) => ({ ack: [event] })));
  const gateway = await startGateway({
    file: {
      app: { url, secret, events: { search: { cost: 4 }, "*": { cost: 2 } } },
      limits: { messages: { capacity: 6, refillPerSecond: 0.001 } },
    },
  });
  const client = await gateway.connect((await gateway.signIn("ann")).token);

  expect(await client.emitWithAck("search")).toBe("search");
  expect(await client.emitWithAck("move")).toBe("move");
  expect(await client.emitWithAck("move")).toMatchObject({ ok: false, error: { code: "rate_limited" } });
});

test("events of a connection reach the app one after the other, in order", async () => {
  let running = 0;
  let most = 0;
  const { client, requests } = await gatewayFor((request, response) => {
    most = Math.max(most, ++running);
    setTimeout(() => {
      running -= 1;
      json(() => ({ ack: [] }))(request, response);
    }, 5);
  });

  await Promise.all([1, 2, 3, 4].map((number) => client.emitWithAck("step", number)));

  expect(requests.map(({ json: { args } }) => args[0])).toEqual([1, 2, 3, 4]);
  expect(most).toBe(1);
});

describe("an app that fails is named, and the connection goes on", () => {
  const behaviours: Record<string, Answer> = {
    hang: () => undefined,
    nonsense: (_request, response) => void response.end("<html>"),
    flood: (_request, response) => void response.end(JSON.stringify({ ack: ["x".repeat(10_000_000)] })),
    redirect: (_request, response) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
    cut: (_request, response) => void response.destroy(),
    unknown: json(() => ({ nack: [] })),
    fine: json(() => ({ ack: ["fine"] })),
  };

  test.each([
    ["hang", "timeout"],
    ["nonsense", "app_failed"],
    ["flood", "app_failed"],
    ["redirect", "app_failed"],
    ["cut", "app_failed"],
    ["unknown", "app_failed"],
  ])("%s: %s", async (event, code) => {
    const { client } = await gatewayFor((request, response) => behaviours[request.json.event]?.(request, response));

    expect(await client.emitWithAck(event)).toMatchObject({
      ok: false,
      error: { code, retryAfterMs: expect.any(Number) },
    });
    expect(await client.emitWithAck("fine")).toBe("fine");
  });

  test("after repeated failures it is not asked any more for a moment", async () => {
    const { client, requests } = await gatewayFor((_request, response) => void response.writeHead(500).end());
    for (let count = 0; count < 5; count += 1) await client.emitWithAck("break");

    expect(await client.emitWithAck("break")).toMatchObject({ error: { code: "unavailable" } });
    expect(requests).toHaveLength(5);
  });
});

test("an answer with a channel of an unknown kind subscribes to nothing, and the connection ends cleanly", async () => {
  const { gateway, client } = await gatewayFor(json(({ json: { args } }) => ({ subscribe: args, ack: [true] })));
  const channels = async () => (await gateway.call("GET", "/v1/channels")).body.channels as { channel: string }[];

  expect(await client.emitWithAck("move", "nothing:1")).toMatchObject({ error: { code: "unknown_channel" } });
  expect(await client.emitWithAck("move", "chat:1")).toBe(true);
  await eventually(async () => expect((await channels()).map(({ channel }) => channel)).toContain("chat:1"));
  client.disconnect();

  await eventually(async () => expect(await channels()).toEqual([]));
});
