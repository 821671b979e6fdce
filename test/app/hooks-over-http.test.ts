import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { connectClient, openClient, startGateway, told, type TestGateway } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";
import { asOperator, bodiesOf, env, gatewayWith, reasonsOf } from "./hook-app.ts";
import { json, secret, startApp } from "./http-app.ts";
import { hookKinds as kinds, withoutToken } from "./support.ts";

const guest = (gateway: TestGateway, options: object = {}) =>
  connectClient(gateway.url, "", { ...withoutToken, ...options });

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
    const { gateway } = await gatewayWith({ connect: () => ({ userId, ttlSeconds: userId === "ann" ? 4 : 60 }) });
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
