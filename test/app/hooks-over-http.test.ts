import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { AppRequest } from "../../src/index.ts";
import { backend, connectClient, openClient, startGateway, told, type TestGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { json, secret, startApp, type Forwarded } from "./http-app.ts";
import { hookKinds as kinds, withoutToken } from "./support.ts";

type Answers = Partial<Record<AppRequest["type"], (request: AppRequest) => object>>;

/** A gateway whose app answers its hooks; `answers` may be changed later. */
async function gatewayWith(answers: Answers, { prefix, app = {} }: { prefix?: string; app?: object } = {}) {
  const served = await startApp(json(({ json: body }) => answers[body.type as AppRequest["type"]]?.(body) ?? {}));
  const file = {
    channels: kinds,
    app: { url: served.url, secret, hooks: ["connect", "subscribe", "publish"], ...app },
  };
  const gateway = await startGateway({ file, env, ...(prefix !== undefined && { prefix }) });
  return { gateway, requests: served.requests };
}

const bodiesOf = (requests: readonly Forwarded[], type: string) =>
  requests.filter(({ json: body }) => body.type === type).map(({ json: body }) => body as Required<AppRequest>);

const guest = (gateway: TestGateway, options: object = {}) =>
  connectClient(gateway.url, "", { ...withoutToken, ...options });

const operator = "operator-secret-of-at-least-thirty-two-bytes";
const env = { OPERATORS: `vic:${operator}:viewer` };
const asOperator = async ({ url }: TestGateway, method: string, path: string, body?: object) =>
  (await backend(url, operator).call(method, `/v1/operator/${path}`, body)).body;
const reasonsOf = async (gateway: TestGateway) => (await asOperator(gateway, "GET", "refusals")).refusals as unknown[];

describe("a client without a token", () => {
  test("is whoever the connect hook says, with its roles, grants and info", async () => {
    const login = { userId: "ann", roles: ["staff"], channels: { subscribe: ["room:*"] }, info: { name: "Ann" } };
    const { gateway, requests } = await gatewayWith({ connect: () => login });

    const client = await guest(gateway);

    expect(client.ready).toMatchObject({ userId: "ann", recovered: false, expiresAt: expect.any(Number) });
    expect(await client.emitWithAck("subscribe", { channel: "staff:stock" })).toMatchObject({ ok: true });
    expect(await client.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({ ok: true });
    const [asked] = bodiesOf(requests, "connect");
    expect(asked).toMatchObject({ type: "connect", event: "connect", args: [], namespace: "/" });
    expect(asked?.connection).toMatchObject({
      connectionId: client.id,
      nodeId: expect.any(String),
      address: "127.0.0.1",
      headers: { cookie: "sid=c-1" },
      auth: { guest: "g-7" },
    });
    expect(asked).not.toHaveProperty("user");
  });

  test("is refused with the code that the hook names, and the reason is recorded", async () => {
    const refuse = { code: "maintenance", message: "Come back tomorrow.", retryAfterMs: 5_000 };
    const { gateway } = await gatewayWith({ connect: () => ({ refuse }) });

    await expect(guest(gateway)).rejects.toMatchObject({ message: "maintenance", data: refuse });

    expect(await reasonsOf(gateway)).toMatchObject([{ kind: "handshake", code: "maintenance", rule: "hook" }]);
  });

  test("is refused as unauthorized by a hook that does not allow it", async () => {
    const { gateway } = await gatewayWith({ connect: () => ({ allow: false }) });

    await expect(guest(gateway)).rejects.toMatchObject({ message: "unauthorized" });
  });

  test("is refused at the transport while the app does not answer, so that it comes back by itself", async () => {
    let isUp = false;
    const { url } = await startApp((request, response) => {
      if (isUp) json(() => ({ userId: "ann" }))(request, response);
      else response.writeHead(500).end();
    });
    const gateway = await startGateway({ env, file: { app: { url, secret, hooks: ["connect"] } } });
    const client = openClient(gateway.url, "", { auth: {}, reconnection: true, reconnectionDelay: 50 });
    await eventually(async () =>
      expect(await reasonsOf(gateway)).toContainEqual(
        expect.objectContaining({ kind: "handshake", code: "app_failed", rule: "hook" }),
      ),
    );

    isUp = true;

    await eventually(() => expect(client.ready).toMatchObject({ userId: "ann" }));
  });

  test("is not kept waiting longer than the time-out, which operators are told", async () => {
    const { url } = await startApp(() => undefined);
    const gateway = await startGateway({ env, file: { app: { url, secret, timeoutMs: 200, hooks: ["connect"] } } });
    const client = openClient(gateway.url, "", { auth: {} });

    await new Promise((resolve) => client.io.once("close", resolve));

    expect(await reasonsOf(gateway)).toMatchObject([{ kind: "handshake", code: "timeout", rule: "hook" }]);
  });

  test("is asked about again when what the hook granted ends", async () => {
    let userId = "ann";
    const { gateway } = await gatewayWith({ connect: () => ({ userId, ttlSeconds: 2 }) });
    const client = openClient(gateway.url, "", { ...withoutToken, reconnection: true, reconnectionDelay: 50 });
    await eventually(() => expect(client.ready).toMatchObject({ userId: "ann" }));

    userId = "bob";

    await eventually(() => expect(client.ready).toMatchObject({ userId: "bob" }));
    expect(told(client, "closing")[0]).toMatchObject({ code: "session_expired", reconnect: true });
  });

  test("recovers, after the hook was asked again", async () => {
    const login = { userId: "ann", channels: { subscribe: ["room:*"] } };
    const { gateway, requests } = await gatewayWith({ connect: () => login });
    const client = await guest(gateway, { reconnection: true, reconnectionDelay: 50 });
    await client.emitWithAck("subscribe", { channel: "room:1" });
    const publish = (data: number) => gateway.call("POST", "/v1/publish", { channel: "room:1", event: "e", data });
    await publish(1);
    await eventually(() => expect(told(client, "publication")).toHaveLength(1));

    client.io.engine.close();
    await publish(2);

    await eventually(() => expect(told(client, "publication").map(({ data }) => data)).toEqual([1, 2]));
    expect(client.recovered).toBe(true);
    expect(bodiesOf(requests, "connect")).toHaveLength(2);
  });

  test("shares one session with the user's others, by which a backend ends all of them", async () => {
    const { gateway } = await gatewayWith({ connect: () => ({ userId: "ann" }) });
    const [one, two] = await Promise.all([guest(gateway), guest(gateway)]);
    expect(one.ready.sessionId).toBe(two.ready.sessionId);

    const { body } = await gateway.call("DELETE", `/v1/sessions/${String(one.ready.sessionId)}`);

    expect(body).toMatchObject({ revoked: 1, disconnected: 2, nodes: 1, acknowledged: 1 });
    await eventually(() => expect([one.connected, two.connected]).toEqual([false, false]));
  });

  test("is explained to operators by the hook, and its requests are measured", async () => {
    const { gateway } = await gatewayWith({ connect: () => ({ userId: "ann" }) });
    await guest(gateway);

    const { steps } = await asOperator(gateway, "POST", "why", { userId: "ann" });

    expect(steps[0]).toMatchObject({ step: "session", detail: expect.stringContaining("the app's connect hook") });
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text();
    expect(metrics).toMatch(/gateway_app_request_seconds_count\{[^}]*type="connect",outcome="ok"[^}]*\} 1/);
  });

  test("that is blocked is refused, whatever the hook says", async () => {
    const { gateway } = await gatewayWith({ connect: () => ({ userId: "ann" }) });
    await gateway.call("PUT", "/v1/users/ann/block", {});

    await expect(guest(gateway)).rejects.toMatchObject({ message: "user_blocked" });
  });

  test("with a token is not the hook's: the token decides, and the app never sees it", async () => {
    const { gateway, requests } = await gatewayWith({ connect: () => ({ userId: "mallory" }) });
    const { token } = await gateway.signIn("ann");

    const client = await gateway.connect(token, { auth: { token, theme: "dark" } });
    await expect(gateway.connect("wrong")).rejects.toMatchObject({ message: "unauthorized" });
    client.emit("move");

    await eventually(() => expect(bodiesOf(requests, "event")).toMatchObject([{ event: "move" }]));
    expect(client.ready).toMatchObject({ userId: "ann" });
    expect(bodiesOf(requests, "connect")).toEqual([]);
    expect(bodiesOf(requests, "event")[0]?.connection.auth).toEqual({ theme: "dark" });
    expect(requests.map(({ body }) => body).join()).not.toContain(token);
  });
});

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

test("the hook in the docs lets in logins by cookie and guests by number", async () => {
  const page = readFileSync(join(repository, "docs/app.md"), "utf8");
  const [, block = ""] = /<!-- The tests run this block. -->\n\n```js\n(.*?)^```$/ms.exec(page) ?? [];
  const { answerHook } = (await import(`data:text/javascript,${encodeURIComponent(block)}`)) as {
    answerHook: (request: object, logins: ReadonlyMap<string, object>) => Promise<object>;
  };
  const logins = new Map([["c-1", { userId: "ann", roles: ["staff"] }]]);
  const { url } = await startApp(
    ({ json: body }, response) => void answerHook(body, logins).then((answer) => response.end(JSON.stringify(answer))),
  );
  const gateway = await startGateway({
    file: { channels: kinds, app: { url, secret, hooks: ["connect", "subscribe"] } },
  });
  const connect = (options: object) => connectClient(gateway.url, "", { auth: {}, ...options });

  const user = await connect({ extraHeaders: { cookie: "theme=dark; sid=c-1" } });
  const anonymous = await connect({ auth: { guest: "0123456789abcdef" } });
  await expect(connect({ extraHeaders: { cookie: "sid=c-2" } })).rejects.toMatchObject({ message: "login_required" });

  expect([user.ready.userId, anonymous.ready.userId]).toEqual(["ann", "guest:0123456789abcdef"]);
  expect(await user.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({ ok: true });
  expect(await anonymous.emitWithAck("subscribe", { channel: "room:lobby" })).toMatchObject({ ok: true });
  expect(await anonymous.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({
    error: { code: "members_only" },
  });
});
