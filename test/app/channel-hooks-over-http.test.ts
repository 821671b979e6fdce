import { describe, expect, test } from "vitest";
import { startGateway, told } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { asOperator, bodiesOf, gatewayWith, reasonsOf, type Answers } from "./hook-app.ts";
import { json, secret, startApp } from "./http-app.ts";
import { hookKinds as kinds } from "./support.ts";

describe("a channel whose rule says hook", () => {
  test("is the app's to open, which is told the user, the channel and the connection", async () => {
    const { gateway, requests } = await gatewayWith({
      subscribe: ({ channel }) =>
        channel === "room:1" ? { allow: true } : { refuse: { code: "full", message: "Full." } },
    });
    const client = await gateway.connect((await gateway.signIn("ann", { info: { name: "Ann" } })).token);

    expect(await client.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({ ok: true });
    expect(await client.emitWithAck("subscribe", { channel: "room:2" })).toEqual({
      ok: false,
      error: { code: "full", message: "Full." },
    });

    expect(bodiesOf(requests, "subscribe")[0]).toMatchObject({
      channel: "room:1",
      connection: { connectionId: client.id },
      user: { userId: "ann", roles: [], info: { name: "Ann" } },
    });
    expect(await reasonsOf(gateway)).toMatchObject([{ kind: "event", code: "full", rule: "hook", channel: "room:2" }]);
  });

  test("is not asked about if another rule of the kind lets the user in", async () => {
    const { gateway, requests } = await gatewayWith({});
    const { token } = await gateway.signIn("ann", { channels: { subscribe: ["room:*"] } });

    expect(await (await gateway.connect(token)).emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({
      ok: true,
    });
    expect(bodiesOf(requests, "subscribe")).toEqual([]);
  });

  test("stays closed if the app answers nothing, or something else", async () => {
    const answers: Answers = {};
    const { gateway } = await gatewayWith(answers);
    const client = await gateway.connect((await gateway.signIn("ann")).token);
    const subscribe = () => client.emitWithAck("subscribe", { channel: "room:1" });

    expect(await subscribe()).toMatchObject({ error: { code: "app_failed", retryAfterMs: expect.any(Number) } });
    answers.subscribe = () => ({ allow: "yes" });
    expect(await subscribe()).toMatchObject({ error: { code: "app_failed" } });
    answers.subscribe = () => ({ allow: false });
    expect(await subscribe()).toMatchObject({ error: { code: "forbidden" } });
    answers.subscribe = () => ({ allow: true });
    expect(await subscribe()).toMatchObject({ ok: true });
  });

  test("is asked about once for as long as the answer says", async () => {
    const { gateway, requests } = await gatewayWith({
      subscribe: ({ channel }) => ({ allow: true, ...(channel === "room:kept" && { ttlSeconds: 60 }) }),
    });
    const client = await gateway.connect((await gateway.signIn("ann")).token);

    for (const channel of ["room:kept", "room:kept", "room:asked", "room:asked"])
      await client.emitWithAck("subscribe", { channel });

    expect(bodiesOf(requests, "subscribe").map(({ channel }) => channel)).toEqual([
      "room:kept",
      "room:asked",
      "room:asked",
    ]);
  });

  test("takes publications that the app allows, with the data that it returns", async () => {
    const { gateway, requests } = await gatewayWith({
      subscribe: () => ({ allow: true }),
      publish: ({ args: [data] }) =>
        data === "rude" ? { refuse: { message: "Be polite." } } : { data: { text: String(data).toUpperCase() } },
    });
    const client = await gateway.connect((await gateway.signIn("ann")).token);
    await client.emitWithAck("subscribe", { channel: "room:1" });
    const publish = (data: string) => client.emitWithAck("publish", { channel: "room:1", event: "said", data });

    expect(await publish("rude")).toEqual({ ok: false, error: { code: "forbidden", message: "Be polite." } });
    expect(await publish("hello")).toMatchObject({ ok: true, offset: 1 });

    await eventually(() =>
      expect(told(client, "publication")).toMatchObject([{ data: { text: "HELLO" }, from: { userId: "ann" } }]),
    );
    expect(bodiesOf(requests, "publish")[1]).toMatchObject({ event: "said", args: ["hello"], channel: "room:1" });
  });

  test("keeps a client's order: events, subscriptions and publications reach the app one after the other", async () => {
    let running = 0;
    let most = 0;
    const { requests, url } = await startApp((request, response) => {
      most = Math.max(most, ++running);
      setTimeout(
        () => {
          running -= 1;
          json(() => (request.json.type === "event" ? {} : { allow: true }))(request, response);
        },
        10 - requests.length * 2,
      );
    });
    const file = { channels: kinds, app: { url, secret, hooks: ["subscribe", "publish"] } };
    const gateway = await startGateway({ file });
    const client = await gateway.connect((await gateway.signIn("ann")).token);
    const publish = (data: number) => client.emitWithAck("publish", { channel: "room:1", event: "e", data });

    client.emit("before");
    const answers = await Promise.all([client.emitWithAck("subscribe", { channel: "room:1" }), publish(1), publish(2)]);

    expect(answers).toMatchObject([{ ok: true }, { offset: 1 }, { offset: 2 }]);
    expect(requests.map(({ json: { type } }) => type)).toEqual(["event", "subscribe", "publish", "publish"]);
    expect(most).toBe(1);
  });

  test("is lost to a client that returns after the app has changed its mind", async () => {
    const answers: Answers = { subscribe: () => ({ allow: true }) };
    const { gateway } = await gatewayWith(answers);
    const { token } = await gateway.signIn("ann");
    const client = await gateway.connect(token, { reconnection: true, reconnectionDelay: 50 });
    await client.emitWithAck("subscribe", { channel: "room:1" });
    await gateway.call("POST", "/v1/publish", { channel: "room:1", event: "e", data: 1 });
    await eventually(() => expect(told(client, "publication")).toHaveLength(1));

    answers.subscribe = () => ({ refuse: {} });
    client.io.engine.close();
    await gateway.call("POST", "/v1/publish", { channel: "room:1", event: "e", data: 2 });

    await eventually(() => expect(told(client, "ready")).toMatchObject([{ recovered: false }, { recovered: false }]));
    expect(client.recovered).toBe(false);
    const since = { epoch: told(client, "publication")[0]?.epoch, offset: 1 };
    expect(await client.emitWithAck("subscribe", { channel: "room:1", since })).toMatchObject({
      error: { code: "forbidden" },
    });
  });

  test("is judged again on every node, also for a remembered answer, when a backend says so", async () => {
    const answers: Answers = { subscribe: () => ({ allow: true, ttlSeconds: 3_600 }) };
    const prefix = freshPrefix();
    const [one, two] = await Promise.all([gatewayWith(answers, { prefix }), gatewayWith(answers, { prefix })]);
    const { token, sessionId } = await one.gateway.signIn("ann");
    const clients = await Promise.all([one, two].map(({ gateway }) => gateway.connect(token)));
    const subscribe = () =>
      Promise.all(clients.map((client) => client.emitWithAck("subscribe", { channel: "room:1" })));
    await subscribe();

    answers.subscribe = () => ({ refuse: {} });
    expect(await subscribe()).toMatchObject([{ ok: true }, { ok: true }]);
    const { body } = await one.gateway.call("PATCH", `/v1/sessions/${sessionId}`, {});

    expect(body).toMatchObject({ nodes: 2, acknowledged: 2 });
    await eventually(() => {
      for (const client of clients)
        expect(told(client, "unsubscribed")).toMatchObject([{ channel: "room:1", code: "forbidden" }]);
    });
    expect(await subscribe()).toMatchObject([{ error: { code: "forbidden" } }, { error: { code: "forbidden" } }]);
  });

  test("is forgotten for one user by unsubscribing that user", async () => {
    const { gateway, requests } = await gatewayWith({ subscribe: () => ({ allow: true, ttlSeconds: 3_600 }) });
    const client = await gateway.connect((await gateway.signIn("ann")).token);
    const subscribe = () => client.emitWithAck("subscribe", { channel: "room:1" });
    await subscribe();

    await gateway.call("POST", "/v1/users/ann/unsubscribe", { channel: "room:1" });
    await subscribe();

    expect(bodiesOf(requests, "subscribe")).toHaveLength(2);
  });

  test("is explained to operators by the hook", async () => {
    const { gateway } = await gatewayWith({
      subscribe: ({ channel }) => (channel === "room:1" ? { allow: true } : { refuse: { code: "full" } }),
    });
    const { token } = await gateway.signIn("ann");
    const why = async (channel: string) => (await asOperator(gateway, "POST", "why", { token, channel })).steps;

    expect(await why("room:1")).toContainEqual(
      expect.objectContaining({ ok: true, detail: expect.stringContaining("hook") }),
    );
    expect(await why("room:2")).toContainEqual(
      expect.objectContaining({ ok: false, detail: expect.stringContaining("subscribe hook refused with full") }),
    );
  });
});
