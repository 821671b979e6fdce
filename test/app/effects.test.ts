import { describe, expect, test } from "vitest";
import { readableLog } from "../support/edge.ts";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { json, secret, startApp } from "./http-app.ts";

const channels = {
  chat: { subscribe: "public", history: { size: 10 } },
  named: { subscribe: "public", deliver: "event" },
} as const;

const large = "x".repeat(70_000);

/** What an event's argument says, which is shorter than what it stands for. */
const answerIn = ([answer = {}]: unknown[]): object =>
  JSON.parse(JSON.stringify(answer).replaceAll("<large>", large)) as object;

/** An app that answers each event with its argument, or with nothing. */
async function gatewayWithEcho({ limits = {} }: { limits?: object } = {}) {
  const { log, lines } = readableLog();
  const { url } = await startApp(json(({ json: { args } }) => answerIn(args)));
  const gateway = await startGateway({ file: { channels, limits, app: { url, secret, timeoutMs: 30_000 } }, log });
  const client = await gateway.connect((await gateway.signIn("ann")).token);
  const isEmpty = async (): Promise<boolean> => {
    const { body } = await gateway.call("GET", "/v1/channels/chat:1/history");
    return body.publications.length === 0;
  };
  const faults = () => lines.filter(({ place }) => place === "app.event");
  return { gateway, client, faults, isEmpty };
}

const valid = {
  subscribe: ["chat:1"],
  publish: [{ channel: "chat:1", event: "said", data: 1 }],
  emit: [{ event: "welcome" }],
};

const aPublication = { channel: "chat:1", event: "said", data: 1 };

describe("an answer with one effect that is refused has no effect, and the log says which", () => {
  test.each<[string, object, object]>([
    [
      "a channel of an unknown kind to subscribe to",
      { subscribe: ["chat:1", "nothing:1"] },
      { field: "answer.subscribe[1].channel", code: "unknown_channel" },
    ],
    [
      "a channel of an unknown kind to publish to",
      { publish: [aPublication, { ...aPublication, channel: "nothing:1" }] },
      { field: "answer.publish[1].channel", code: "unknown_channel" },
    ],
    [
      "data that is too large",
      { publish: [aPublication, { ...aPublication, data: "<large>" }] },
      { field: "answer.publish[1].data", code: "payload_too_large" },
    ],
    [
      "the name of an event of the gateway, in a channel that delivers events",
      { publish: [{ channel: "named:1", event: "ready", data: 1 }] },
      { field: "answer.publish[0].event", code: "bad_request" },
    ],
    [
      "an event for the client with a name of the gateway",
      { emit: [{ event: "welcome" }, { event: "closing" }] },
      { field: "answer.emit[1].event", code: "bad_request" },
    ],
    [
      "an event for the client with a name of Socket.IO",
      { emit: [{ event: "disconnect" }] },
      { field: "answer.emit[0].event", code: "bad_request" },
    ],
    ["an event for the client without a name", { emit: [{ event: "" }] }, { field: "answer.emit[0].event" }],
    ["a field that does not exist", { subscribed: ["chat:1"] }, { field: "answer.subscribed", code: "bad_request" }],
  ])("%s", async (_, wrong, logged) => {
    const { client, faults, isEmpty } = await gatewayWithEcho();

    const answer = await client.emitWithAck("move", { ...valid, ...wrong });

    expect(answer).toEqual({
      ok: false,
      error: { code: "app_failed", message: "The app failed to handle this.", retryAfterMs: expect.any(Number) },
    });
    expect(await client.emitWithAck("move", { ack: ["still here"] })).toBe("still here");
    expect(client.events.map(([name]) => name)).not.toContain("welcome");
    expect(await client.emitWithAck("unsubscribe", { channel: "chat:1" })).toMatchObject({
      error: { code: "not_subscribed" },
    });
    expect(await isEmpty()).toBe(true);
    expect(faults()).toEqual([
      expect.objectContaining({ ...logged, event: "move", reason: expect.any(String), msg: "failed" }),
    ]);
    expect(JSON.stringify(faults())).not.toMatch(/at .*\.ts:|stack/);
  });

  test("more channels than a connection may have", async () => {
    const { client, faults } = await gatewayWithEcho({ limits: { subscriptionsPerConnection: 2 } });

    const refused = await client.emitWithAck("move", { subscribe: ["chat:1", "chat:1", "chat:2", "chat:3"] });

    expect(refused).toMatchObject({ error: { code: "app_failed" } });
    expect(faults()).toEqual([expect.objectContaining({ field: "answer.subscribe[3]", code: "subscription_limit" })]);
    expect(await client.emitWithAck("move", { subscribe: ["chat:1", "chat:2"], ack: [true] })).toBe(true);
    expect(await client.emitWithAck("move", { subscribe: ["chat:2", "chat:1"], ack: [true] })).toBe(true);
  });
});

test("a refusal that is only found while effects are applied is the app's too", async () => {
  const { client, faults } = await gatewayWithEcho();
  const keyed = { ...aPublication, idempotencyKey: "k-1" };
  expect(await client.emitWithAck("move", { publish: [keyed], ack: [true] })).toBe(true);

  const again = await client.emitWithAck("move", { publish: [keyed, { ...keyed, data: 2 }] });

  expect(again).toMatchObject({ error: { code: "app_failed" } });
  expect(faults()).toEqual([expect.objectContaining({ field: "answer.publish[1].idempotencyKey", code: "conflict" })]);
});

test("subscriptions by the app end with the connection", async () => {
  const { gateway, client } = await gatewayWithEcho();
  const names = async () => (await gateway.call("GET", "/v1/channels")).body.channels as { channel: string }[];

  expect(await client.emitWithAck("move", { subscribe: ["chat:1"], ack: [true] })).toBe(true);
  await eventually(async () => expect((await names()).map(({ channel }) => channel)).toContain("chat:1"));
  client.disconnect();

  await eventually(async () => expect(await names()).toEqual([]));
});

test("a disconnect may have a code of the app's own, which metrics count with those of backends", async () => {
  const { gateway, client, faults } = await gatewayWithEcho();
  const closed = new Promise((resolve) => client.once("closing", resolve));

  await client.emitWithAck("move", { disconnect: { code: "kicked", message: "Be polite." }, ack: [true] });

  expect(await closed).toEqual({ code: "kicked", message: "Be polite.", reconnect: false });
  expect(faults()).toEqual([]);
  const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(metrics).toMatch(/gateway_closings_total\{code="disconnected_by_backend"[^}]*\} 1/);
  expect(metrics).not.toContain("kicked");
});
