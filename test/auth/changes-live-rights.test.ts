import { Redis } from "ioredis";
import { describe, expect, inject, it, onTestFinished } from "vitest";
import { checkToken } from "../../src/cli/check-token.ts";
import { freshPrefix, eventually } from "../support/world.ts";
import { forge, secret } from "./forge.ts";
import { openClient, refusalOf, startGateway, told, type Client } from "../support/gateway.ts";
import { timed, within } from "../support/promised.ts";

const channels = {
  room: { subscribe: "granted", publish: "granted" },
  desk: { subscribe: ["role:staff", "granted"], publish: "none" },
  closed: { subscribe: "none", publish: "none" },
  lobby: { subscribe: "public", publish: "public" },
};

/** Two nodes on one prefix. */
async function nodes() {
  const prefix = freshPrefix();
  const options = { prefix, file: { channels } };
  return Promise.all([startGateway(options), startGateway(options)]);
}

const subscribe = (client: Client, channel: string) => client.emitWithAck("subscribe", { channel });
const heard = (client: Client) => told(client, "publication").map(({ data }) => data);

/** A client that is away, and that its node has missed. */
async function cut(client: Client, node: Awaited<ReturnType<typeof nodes>>[number]): Promise<void> {
  client.io.engine.close();
  const connections = async () => (await node.call("GET", "/v1/users/ada/connections")).body.connections;
  await eventually(async () => expect(await connections()).toEqual([]));
}

async function comeBack(client: Client): Promise<void> {
  const isReady = new Promise((resolve) => void client.once("ready", resolve));
  client.connect();
  await isReady;
}

const unsubscribed = (client: Client): string[] => told(client, "unsubscribed").map(({ channel }) => String(channel));

async function refusal(url: string, token: string): Promise<string> {
  const client = openClient(url, token);
  return new Promise((resolve, reject) => {
    client.once("connect_error", (error) => resolve(refusalOf(error)));
    client.once("ready", () => reject(new Error("was admitted")));
  });
}

describe("a session that is changed", () => {
  it("has its new rights on all nodes when the call returns, also with an older token", async () => {
    const [one, two] = await nodes();
    const login = await one.signIn("ada", { channels: { subscribe: ["room:1"], publish: ["room:1"] } });
    const clients = [await one.connect(login.token), await two.connect(login.token)];
    for (const client of clients) expect(await subscribe(client, "room:1")).toMatchObject({ ok: true });

    const { status, body } = await one.call("PATCH", `/v1/sessions/${login.sessionId}`, {
      channels: { subscribe: ["room:2"] },
      roles: ["staff"],
      info: { name: "Ada" },
      data: { plan: "free" },
    });

    expect([status, body]).toMatchObject([
      200,
      {
        nodes: 2,
        acknowledged: 2,
        session: { roles: ["staff"], channels: { subscribe: ["room:2"], publish: [] }, info: { name: "Ada" } },
      },
    ]);
    for (const client of [...clients, await two.connect(login.token)]) {
      expect(await client.emitWithAck("publish", { channel: "room:1", event: "x", data: 1 })).toMatchObject({
        error: { code: "forbidden" },
      });
      expect(await subscribe(client, "room:2")).toMatchObject({ ok: true });
      expect(await subscribe(client, "desk:a")).toMatchObject({ ok: true });
    }
    for (const client of clients) expect(unsubscribed(client)).toEqual(["room:1"]);
    const { body: read } = await two.call("GET", `/v1/sessions/${login.sessionId}`);
    expect(read.session).toMatchObject({
      userId: "ada",
      data: { plan: "free" },
      info: { name: "Ada" },
      connections: 3,
    });
  });

  it("ends subscriptions of a role that is taken away", async () => {
    const [one, two] = await nodes();
    const { token, sessionId } = await one.signIn("ada", { roles: ["staff"] });
    const client = await two.connect(token);
    expect(await subscribe(client, "desk:a")).toMatchObject({ ok: true });
    expect(await subscribe(client, "staff:floor")).toMatchObject({ ok: true });

    await one.call("PATCH", `/v1/sessions/${sessionId}`, { roles: [] });

    await eventually(() => expect(unsubscribed(client).toSorted()).toEqual(["desk:a", "staff:floor"]));
  });

  it("judges a client that comes back by the rights it has now", async () => {
    const [one, two] = await nodes();
    const login = await one.signIn("ada", { channels: { subscribe: ["room:1"] } });
    const client = await one.connect(login.token, {
      reconnection: true,
      reconnectionDelay: 20,
      reconnectionDelayMax: 50,
    });
    await subscribe(client, "room:1");
    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    await eventually(() => expect(client.connected).toBe(false));

    await two.call("PATCH", `/v1/sessions/${login.sessionId}`, { channels: { subscribe: ["room:2"] } });
    await two.call("POST", "/v1/publish", { channel: "room:1", event: "secret", data: 1 });
    Object.assign(client.io, { uri: two.url });
    await eventually(() => expect(told(client, "ready")).toHaveLength(2));

    expect(client.recovered).toBe(false);
    expect(await subscribe(client, "room:2")).toMatchObject({ ok: true });
    await two.call("POST", "/v1/publish", { channel: "room:2", event: "said", data: 1 });
    await eventually(() => expect(told(client, "publication")).toMatchObject([{ channel: "room:2" }]));
  });

  it("is extended by a refresh, and told of its end by name", async () => {
    const [one] = await nodes();
    const { token, sessionId } = await one.signIn("ada", { ttlSeconds: 60 });
    await one.connect(token);

    const { body } = await one.call("POST", `/v1/sessions/${sessionId}/refresh`, { ttlSeconds: 600 });
    expect(body.expiresAt).toBeGreaterThan(Date.now() + 500_000);

    const lasting = await one.connect(token);
    await one.call("PATCH", `/v1/sessions/${sessionId}`, { ttlSeconds: 1 });
    await eventually(() => expect(told(lasting, "closing")).toMatchObject([{ code: "session_expired" }]));
    expect(await refusal(one.url, token)).toBe("session_expired");
  });

  it("is not found if it has ended, and nothing is applied if a field is wrong", async () => {
    const [one] = await nodes();
    const { sessionId } = await one.signIn("ada", { roles: ["a"] });

    expect(await one.call("PATCH", `/v1/sessions/${sessionId}`, { roles: ["b"], channels: 1 })).toMatchObject({
      status: 400,
      body: { field: "channels" },
    });
    expect((await one.call("GET", `/v1/sessions/${sessionId}`)).body.session.roles).toEqual(["a"]);
    await one.call("DELETE", `/v1/sessions/${sessionId}`);
    expect((await one.call("PATCH", `/v1/sessions/${sessionId}`, { roles: [] })).status).toBe(404);
    expect((await one.call("GET", `/v1/sessions/${sessionId}`)).status).toBe(404);
    expect((await one.call("POST", `/v1/sessions/${sessionId}/refresh`)).status).toBe(404);
  });
});

describe("a user", () => {
  it("is not subscribed to a channel of an unknown kind", async () => {
    const { call } = await startGateway({ prefix: freshPrefix(), file: { channels } });

    expect(await call("POST", "/v1/users/ada/subscribe", { channel: "nothing:1" })).toMatchObject({
      status: 404,
      body: { code: "unknown_channel", field: "channel" },
    });
  });

  it("is subscribed to a channel on all nodes, keeps it on return, and is unsubscribed", async () => {
    const [one, two] = await nodes();
    const { token } = await one.signIn("ada");
    const clients = [await one.connect(token), await two.connect(token)];

    expect((await one.call("POST", "/v1/users/ada/subscribe", { channel: "closed:1" })).body).toEqual({
      connections: 2,
      nodes: 2,
      acknowledged: 2,
    });
    await two.call("POST", "/v1/publish", { channel: "closed:1", event: "said", data: 1 });
    for (const client of clients) await eventually(() => expect(told(client, "publication")).toHaveLength(1));
    const later = await two.connect(token);
    expect(await subscribe(later, "closed:1")).toMatchObject({ ok: true });

    expect((await two.call("POST", "/v1/users/ada/unsubscribe", { channel: "closed:1" })).body).toMatchObject({
      connections: 3,
      acknowledged: 2,
    });
    for (const client of [...clients, later])
      await eventually(() => expect(unsubscribed(client)).toEqual(["closed:1"]));
    expect(await subscribe(later, "closed:1")).toMatchObject({ error: { code: "forbidden" } });
  });

  it("recovers no subscription that was ended while it was away, even if it was subscribed again meanwhile", async () => {
    const [one, two] = await nodes();
    const client = await one.connect((await one.signIn("ada")).token);
    const publish = (data: string) => two.call("POST", "/v1/publish", { channel: "closed:1", event: "said", data });
    await one.call("POST", "/v1/users/ada/subscribe", { channel: "closed:1" });
    await publish("before");
    await eventually(() => expect(heard(client)).toEqual(["before"]));

    await cut(client, one);
    await two.call("POST", "/v1/users/ada/unsubscribe", { channel: "closed:1" });
    await publish("while it might not read it");
    await two.call("POST", "/v1/users/ada/subscribe", { channel: "closed:1" });
    await comeBack(client);

    expect(client.recovered).toBe(false);
    expect(await subscribe(client, "closed:1")).toMatchObject({ ok: true });
    await publish("after");
    await eventually(() => expect(heard(client)).toEqual(["before", "after"]));
  });

  it("recovers, each time, what it subscribed to again after a backend had ended it", async () => {
    const [one, two] = await nodes();
    const client = await one.connect((await one.signIn("ada")).token);
    expect(await subscribe(client, "lobby:1")).toMatchObject({ ok: true });
    await two.call("POST", "/v1/users/ada/unsubscribe", { channel: "lobby:1" });
    await eventually(() => expect(unsubscribed(client)).toEqual(["lobby:1"]));
    expect(await subscribe(client, "lobby:1")).toMatchObject({ ok: true });

    for (const n of [1, 2]) {
      await cut(client, one);
      await two.call("POST", "/v1/publish", { channel: "lobby:1", event: "said", data: n });
      await comeBack(client);
      expect(client.recovered).toBe(true);
      expect(heard(client).at(-1)).toBe(n);
    }
    expect(heard(client)).toEqual([1, 2]);
  });

  it("is blocked on all nodes until the block ends", async () => {
    const [one, two] = await nodes();
    const { token } = await one.signIn("ada");
    const client = await two.connect(token);

    expect((await one.call("PUT", "/v1/users/ada/block", { reason: "abuse" })).body).toEqual({
      disconnected: 1,
      nodes: 2,
      acknowledged: 2,
    });
    await eventually(() => expect(told(client, "closing")).toMatchObject([{ code: "user_blocked", reconnect: false }]));
    expect(await refusal(two.url, token)).toBe("user_blocked");

    expect((await one.call("DELETE", "/v1/users/ada/block")).body).toEqual({
      disconnected: 0,
      nodes: 2,
      acknowledged: 2,
    });
    await two.connect(token);
  });

  it("is not blocked until a time in the past, or one in seconds", async () => {
    const [one, two] = await nodes();
    const { token } = await one.signIn("ada");
    const client = await two.connect(token);
    const block = (until: number) => one.call("PUT", "/v1/users/ada/block", { until });

    for (const until of [1, Math.ceil(Date.now() / 1_000) + 60, Date.now() - 1])
      expect(await block(until)).toMatchObject({
        status: 400,
        body: {
          code: "bad_request",
          field: "until",
          detail: "until: must be a time in the future, in epoch milliseconds",
        },
      });

    expect(client.connected).toBe(true);
    await two.connect(token);
    expect(await block(Date.now() + 60_000)).toMatchObject({ status: 200, body: { disconnected: 2 } });
  });

  it("loses all tokens issued before a moment, and no others", async () => {
    const [one, two] = await nodes();
    const { token } = await one.signIn("ada");
    const client = await two.connect(token);
    const body = { userId: "ada", issuedBefore: Date.now() + 1 };

    expect((await one.call("POST", "/v1/tokens/revoke", body)).body).toMatchObject({
      disconnected: 1,
      acknowledged: 2,
    });
    await eventually(() => expect(told(client, "closing")).toMatchObject([{ code: "token_revoked" }]));
    expect(await refusal(two.url, token)).toBe("token_revoked");
    // Tokens count in whole seconds.
    await eventually(async () => {
      const fresh = await one.signIn("ada");
      await two.connect(fresh.token);
    });
  });
});

it("a sliding session lives on with messages and ends without", timed, async () => {
  const [one] = await nodes();
  const { token, sessionId } = await one.signIn("ada", { idleSeconds: 3 });
  const { expiresAt } = (await one.call("GET", `/v1/sessions/${sessionId}`)).body.session;
  const client = await one.connect(token);
  let lastAt = 0;
  const speaking = setInterval(() => client.emit("sessions:list", {}, () => (lastAt = Date.now())), 200);
  await eventually(() => expect(lastAt).toBeGreaterThan(expiresAt + 500));
  expect(told(client, "closing")).toEqual([]);
  expect(told(client, "auth:expiring")).toEqual([]);
  clearInterval(speaking);

  await eventually(() => expect(told(client, "closing")).toMatchObject([{ code: "session_expired" }]));
  expect(told(client, "auth:expiring")).toHaveLength(1);
});

describe("a subscription token", () => {
  const sign = (payload: object) => forge({ payload: { iat: Math.floor(Date.now() / 1_000), ...payload } });
  const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

  it("lets its user into its channel until it expires", async () => {
    const node = await startGateway({ env: { JWT_SECRET: secret }, file: { channels } });
    const client = await node.connect((await node.signIn("ada")).token);

    expect(await subscribe(client, "closed:1")).toMatchObject({ error: { code: "forbidden" } });
    const token = await within(3_000, async () => {
      const short = sign({ sub: "ada", channel: "closed:1", exp: inSeconds(4), publish: true });
      expect(await client.emitWithAck("subscribe", { channel: "closed:1", token: short })).toMatchObject({ ok: true });
      expect(await client.emitWithAck("publish", { channel: "closed:1", event: "x", data: 1 })).toMatchObject({
        ok: true,
      });
      return short;
    });
    await eventually(() => expect(unsubscribed(client)).toContain("closed:1"));
    await eventually(async () =>
      expect(await client.emitWithAck("subscribe", { channel: "closed:1", token })).toMatchObject({
        error: { code: "token_expired" },
      }),
    );
  });

  it("lets in nobody else, nowhere else, and signs nobody in", async () => {
    const node = await startGateway({ env: { JWT_SECRET: secret }, file: { channels } });
    const client = await node.connect((await node.signIn("ada")).token);
    const attempt = async (payload: object) =>
      (await client.emitWithAck("subscribe", { channel: "closed:1", token: sign(payload) })).error?.code;

    expect(await attempt({ sub: "bob", channel: "closed:1", exp: inSeconds(60) })).toBe("forbidden");
    expect(await attempt({ sub: "ada", channel: "closed:2", exp: inSeconds(60) })).toBe("forbidden");
    expect(await attempt({ sub: "ada", channel: "closed:*", exp: inSeconds(60) })).toBe("unauthorized");
    expect(await attempt({ sub: "ada", channel: "closed:1" })).toBe("unauthorized");
    expect(await refusal(node.url, sign({ sub: "ada", channel: "closed:1", exp: inSeconds(60) }))).toBe("unauthorized");
  });
});

it("a user's connections are listed over all nodes, and a session is changed by a command", async () => {
  const [one, two] = await nodes();
  const { token, sessionId } = await one.signIn("ada");
  const clients = [await one.connect(token), await two.connect(token)];
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => void redis.quit());
  const command = { type: "session.update", sessionId, roles: ["staff"] };
  await redis.xadd(`${one.prefix}:commands`, "*", "command", JSON.stringify(command));
  for (const client of clients)
    await eventually(async () => expect(await subscribe(client, "desk:a")).toMatchObject({ ok: true }));

  const { body } = await one.call("GET", "/v1/users/ada/connections");

  expect(body).toMatchObject({ nodes: 2, acknowledged: 2 });
  expect(body.connections.map(({ connectionId }: { connectionId: string }) => connectionId).toSorted()).toEqual(
    clients.map(({ id }) => String(id)).toSorted(),
  );
  for (const connection of body.connections)
    expect(connection).toMatchObject({ sessionId, address: "127.0.0.1", channels: ["user:ada", "desk:a"] });
});

it("`token --check` says why a token is refused", async () => {
  const [one] = await nodes();
  const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: one.prefix };
  const { token } = await one.signIn("ada");

  expect(await checkToken(env, token)).toMatchObject({ isAccepted: true, text: expect.stringContaining("ada") });
  await one.call("PUT", "/v1/users/ada/block");
  expect((await checkToken(env, token)).text).toMatch(/^refused: user_blocked: .*\(blocked\)$/);
  expect((await checkToken({}, `${token}x`)).text).toMatch(/^refused: unauthorized: .*signature/);
});
