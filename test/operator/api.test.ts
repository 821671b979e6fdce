import SwaggerParser from "@apidevtools/swagger-parser";
import { Validator } from "@seriousme/openapi-schema-validator";
import jsonwebtoken from "jsonwebtoken";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { developmentSecret } from "../../src/config/credentials.ts";
import { backend, connectClient, startGateway, told, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";
import { heardOfAll } from "./heard-of-all.ts";

const admin = "admin-secret-of-at-least-thirty-two-bytes";
const viewer = "viewer-secret-of-at-least-thirty-two-bytes";
const file = {
  channels: {
    chat: { subscribe: "public" },
    room: { subscribe: "public", presence: true },
    private: { subscribe: "granted" },
  },
};

const startNode = (nodeId: string, prefix: string, env: Record<string, string> = {}): Promise<TestGateway> =>
  startGateway({
    prefix,
    file,
    env: { NODE_ID: nodeId, OPERATORS: `ada:${admin}:admin,vic:${viewer}:viewer`, ...env },
  });

async function twoNodes() {
  const prefix = freshPrefix();
  const [n1, n2] = await Promise.all([startNode("n1", prefix), startNode("n2", prefix)]);
  const asAdmin = backend(n1.url, admin).call;
  const asViewer = backend(n1.url, viewer).call;
  const get = async (path: string) => (await heardOfAll(() => asAdmin("GET", `/v1/operator/${path}`))).body;
  return { n1, n2, prefix, asAdmin, asViewer, get };
}

describe("over two nodes", () => {
  test("an operator finds, sees and acts; each act has an audit line", async () => {
    const { n1, n2, asAdmin, asViewer, get } = await twoNodes();
    const alice = await n1.signIn("alice");
    const bob = await n1.signIn("bob");
    const first = await n1.connect(alice.token);
    const second = await n2.connect(alice.token);
    const extraHeaders = { "user-agent": "Probe/1.2 (Linux)" };
    const other = await n2.connect(bob.token, { transports: ["polling"], extraHeaders });
    const otherId = other.id;
    await first.emitWithAck("subscribe", { channel: "chat:1" });
    await other.emitWithAck("subscribe", { channel: "chat:1" });
    await second.emitWithAck("subscribe", { channel: "room:1" });
    await second.emitWithAck("presence:set", { channel: "room:1", data: { typing: true } });
    expect(await first.emitWithAck("subscribe", { channel: "private:1" })).toMatchObject({ ok: false });
    await n1.call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: { text: "hello" } });
    for (const client of [first, other]) await eventually(() => expect(told(client, "publication")).toHaveLength(1));

    // A node learns of another with its next heartbeat.
    await eventually(async () => expect((await get("overview")).nodes).toHaveLength(2));

    // Overview
    const overview = await get("overview");
    expect(overview.nodes.map(({ nodeId, state, connections }: any) => [nodeId, state, connections])).toEqual([
      ["n1", expect.stringMatching(/^(ready|degraded)$/), 1],
      ["n2", expect.stringMatching(/^(ready|degraded)$/), 2],
    ]);
    expect([overview.missing, overview.totals.connections]).toEqual([[], 3]);
    expect(overview.totals).toMatchObject({ handshakes: { accepted: 3 }, refusals: {}, closings: {} });
    for (const name of ["publications", "deliveries"])
      expect(overview.totals[name]).toBe(overview.nodes[0][name] + overview.nodes[1][name]);
    for (const { clockOffsetMs } of overview.nodes) expect(Math.abs(clockOffsetMs)).toBeLessThan(1_000);
    expect(overview.store).toMatchObject({ probe: "ok", evictionPolicy: "noeviction", keys: expect.any(Number) });
    expect(overview.store.latencyMs).toBeGreaterThan(0);

    // Connections: by user, channel, transport, node, and in pages
    const ids = async (query: string) =>
      (await get(`connections?${query}`)).connections.map(({ connectionId }: any) => connectionId);
    expect(await ids("user=alice")).toEqual([first.id, second.id]);
    expect(await ids("channel=chat:1")).toEqual([first.id, other.id]);
    expect(await ids("transport=polling")).toEqual([other.id]);
    expect(await ids("client=probe%2F1")).toEqual([other.id]);
    expect(await ids("node=n1")).toEqual([first.id]);
    expect(await ids(`connection=${second.id}`)).toEqual([second.id]);
    expect(await ids(`session=${bob.sessionId}`)).toEqual([other.id]);
    expect(await ids("address=192.0.2.1")).toEqual([]);
    const pages: string[] = [];
    for (let cursor = ""; cursor !== "end";) {
      const page = await get(`connections?limit=1${cursor && `&cursor=${cursor}`}`);
      pages.push(...page.connections.map(({ connectionId }: any) => connectionId));
      cursor = page.cursor ?? "end";
    }
    expect(pages).toEqual([first.id, second.id, other.id]);
    expect((await asAdmin("GET", "/v1/operator/connections?cursor=x")).body).toMatchObject({ field: "cursor" });

    // User and channel
    const user = await get("users/alice");
    expect(user.sessions).toEqual([expect.objectContaining({ sessionId: alice.sessionId })]);
    expect(user.connections[0]).toMatchObject({
      nodeId: "n1",
      channels: [{ channel: "user:alice" }, { channel: "chat:1", offset: 1 }],
    });
    expect(user.presence).toEqual([{ channel: "room:1", connections: 1, data: { typing: true } }]);
    expect((await asViewer("GET", "/v1/operator/users/alice")).body.presence).toEqual([
      { channel: "room:1", connections: 1 },
    ]);
    const channel = await get("channels/chat:1");
    expect(channel.subscribers).toEqual([
      { nodeId: "n1", subscribers: 1, offset: 1, queuedBytes: 0 },
      { nodeId: "n2", subscribers: 1, offset: 1, queuedBytes: 0 },
    ]);
    expect(channel.publications).toEqual([
      expect.objectContaining({ offset: 1, event: "said", data: { text: "hello" } }),
    ]);
    const huge = await asAdmin("GET", `/v1/operator/connections?client=${"x".repeat(257)}`);
    expect(huge.body).toMatchObject({ code: "bad_request", field: "client" });
    const masked = (await asViewer("GET", "/v1/operator/channels/chat:1")).body;
    expect(masked.publications).toEqual([{ offset: 1, event: "said", publishedAt: expect.any(Number), bytes: 16 }]);

    // Refusals and why
    const { refusals } = await get("refusals?kind=event");
    expect(refusals).toEqual([
      expect.objectContaining({
        nodeId: "n1",
        userId: "alice",
        code: "forbidden",
        rule: "grant",
        channel: "private:1",
      }),
    ]);
    const why = async (body: object) => (await asViewer("POST", "/v1/operator/why", body)).body;
    expect(await why({ token: alice.token, channel: "chat:1" })).toMatchObject({ allowed: true, userId: "alice" });
    const refused = await why({ userId: "alice", channel: "private:1" });
    expect(refused).toMatchObject({ allowed: false, code: "forbidden", refusals: [{ rule: "grant" }] });
    expect(refused.steps.map(({ step, ok }: any) => [step, ok])).toEqual([
      ["session", true],
      ["subscribe private:1", false],
      ["grants", true],
    ]);
    const now = Math.floor(Date.now() / 1_000);
    const stale = { sub: "alice", sid: alice.sessionId, jti: "t", iat: now - 60, exp: now - 4 };
    const expired = await why({ token: jsonwebtoken.sign(stale, developmentSecret) });
    expect(expired).toMatchObject({ allowed: false, code: "token_expired" });
    expect(expired.steps.at(-1).detail).toMatch(/expired [\d.]+ s ago on Redis' clock, [\d.]+ s ago on this node's/);
    expect(await why({ token: "x", userId: "y" })).toMatchObject({ code: "bad_request" });

    // Acts: a viewer may not
    expect((await asViewer("POST", "/v1/operator/users/alice/revoke")).status).toBe(403);
    expect((await asViewer("GET", "/v1/operator/nothing")).status).toBe(404);
    expect((await asAdmin("POST", "/v1/operator/dead-letters/remove", { ids: ["x"] })).body.detail).toBe(
      "ids[0]: is not the id of an entry",
    );
    const closed = await asAdmin("POST", `/v1/operator/connections/${other.id}/disconnect`, {});
    expect(closed.body).toEqual({ disconnected: 1, nodes: 2, acknowledged: 2 });
    await eventually(() => expect(other.connected).toBe(false));
    expect((await asAdmin("POST", "/v1/operator/users/alice/disconnect", {})).body).toMatchObject({ disconnected: 2 });
    expect((await asAdmin("POST", "/v1/operator/users/alice/revoke")).body).toMatchObject({ revoked: 1 });
    await n1.call("POST", "/v1/users/bob/request", { event: "confirm" });
    await n1.call("POST", "/v1/users/bob/disconnect", {});
    await eventually(async () =>
      expect((await get("audit")).entries.map(({ by, via, act, target }: any) => [by, via, act, target])).toEqual([
        ["test", "api", "disconnectUser", { userId: "bob" }],
        ["ada", "operator", "operatorRevokeUser", { userId: "alice" }],
        ["ada", "operator", "operatorDisconnectUser", { userId: "alice" }],
        ["ada", "operator", "disconnectConnection", { connectionId: otherId }],
      ]),
    );
  });

  test("a node that does not answer is named, and the rest is shown; one that drains says so", async () => {
    const { n1, n2, asAdmin, get } = await twoNodes();
    await get("overview");

    expect((await asAdmin("POST", "/v1/operator/nodes/n2/drain")).body).toEqual({
      draining: 1,
      nodes: 2,
      acknowledged: 2,
    });
    await n2.gateway.drainRequested;
    await n2.gateway.drain();

    await eventually(async () => {
      const overview = await get("overview");
      expect(overview.nodes.map(({ nodeId }: any) => nodeId)).toEqual(["n1"]);
      expect(overview.missing).toEqual([{ nodeId: "n2", state: "left", lastSeenAt: expect.any(Number) }]);
    });
    expect((await n1.call("GET", "/v1/operator/overview")).status).toBe(401);
  });

  test("settings show their source and what differs, without secrets", async () => {
    const prefix = freshPrefix();
    await startNode("n1", prefix);
    const n2 = await startNode("n2", prefix, { DRAIN_TIMEOUT_MS: "1234" });

    const { body } = await heardOfAll(() => backend(n2.url, viewer).call("GET", "/v1/operator/settings"));

    expect(body.sources.environment).toEqual(expect.arrayContaining(["OPERATORS", "DRAIN_TIMEOUT_MS", "NODE_ID"]));
    expect(body.sources.file).toEqual(
      expect.arrayContaining(["channels.chat.subscribe", "channels.private.subscribe"]),
    );
    const settings = new Map<string, any>(body.settings.map((setting: any) => [setting.name, setting]));
    expect(settings.get("drainTimeoutMs")).toMatchObject({ source: "environment", variables: ["DRAIN_TIMEOUT_MS"] });
    expect(settings.get("redis.url")).toMatchObject({ source: "environment", variables: ["REDIS_URL"] });
    expect(settings.get("channels.chat.subscribe")).toMatchObject({ value: "public", source: "file" });
    expect(settings.get("limits.http.requests")).toEqual({
      name: "limits.http.requests",
      value: 60_000,
      source: "default",
    });
    expect(body.differences).toContainEqual({ name: "drainTimeoutMs", values: { n1: 2_000, n2: 1_234 } });
    expect(JSON.stringify(body)).not.toMatch(/-secret-of-at-least/);
  });
});

test("dead letters are filtered, masked for viewers, and replayed or removed by filter", async () => {
  const node = await startNode("n1", freshPrefix());
  const { redis } = await redisWorld();
  const add = (text: string) => redis.connection("commands").xadd(`${node.prefix}:commands`, "*", "command", text);
  await add(JSON.stringify({ type: "order.event", orderId: "none", status: "confirmed" }));
  await add("no JSON");
  const asAdmin = backend(node.url, admin).call;
  const letters = async (query = "") => (await asAdmin("GET", `/v1/operator/dead-letters?${query}`)).body.letters;
  await eventually(async () => expect(await letters()).toHaveLength(2));

  const [order] = await letters("type=order.event");
  expect(order).toMatchObject({
    type: "order.event",
    command: expect.stringContaining("none"),
    tries: expect.any(Number),
  });
  const masked = (await backend(node.url, viewer).call("GET", "/v1/operator/dead-letters")).body.letters;
  expect(masked[0]).not.toHaveProperty("command");
  const removed = await asAdmin("POST", "/v1/operator/dead-letters/remove", { filter: { code: "bad_request" } });
  expect(removed.body).toEqual({ done: 1, missing: 0, more: false });
  await node.call("POST", "/v1/orders", { orderId: "none", parties: { customer: "alice" } });
  const replayed = await asAdmin("POST", "/v1/operator/dead-letters/replay", { filter: { type: "order.event" } });
  expect(replayed.body).toEqual({ done: 1, missing: 0, more: false });

  await eventually(async () =>
    expect((await node.call("GET", "/v1/orders/none")).body.order).toMatchObject({ status: "confirmed" }),
  );
  expect(await letters()).toEqual([]);
  expect((await asAdmin("GET", "/v1/operator/queues")).body).toMatchObject({
    deadLetters: { commands: 0, webhooks: 0 },
  });
});

test("what waits for a receiver of webhooks is shown with its attempts", async () => {
  const receiver = createServer((_request, response) => response.writeHead(500).end());
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void receiver.close());
  const to = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const webhook = { url: `${to}/hooks/x`, secret: "a-secret", events: ["order.status"], firstPauseMs: 60_000 };
  const env = { OPERATORS: `ada:${admin}:admin` };
  const node = await startGateway({ file: { ...file, webhooks: [webhook] }, env });

  await node.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice" } });

  await eventually(async () => {
    const { webhooks } = (await backend(node.url, admin).call("GET", "/v1/operator/queues")).body;
    const next = [{ entity: "order:o-1", tries: 1, nextAt: expect.any(Number) }];
    expect(webhooks).toEqual({ waiting: 1, endpoints: [{ to, waiting: 1, queues: 1, next }] });
  });
});

describe("signing in", () => {
  const signIn = (url: string, name: string, secret: string) =>
    fetch(`${url}/v1/operator/session`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ name, secret }),
    });

  test("gives a cookie that works on every node, for this site alone, and writes only from the console", async () => {
    const { n1, n2 } = await twoNodes();

    const response = await signIn(n1.url, "ada", admin);

    expect([response.status, await response.json()]).toMatchObject([201, { name: "ada", role: "admin" }]);
    const set = response.headers.get("set-cookie") ?? "";
    expect(set).toMatch(/; HttpOnly; SameSite=Strict; /);
    const cookie = set.split(";")[0] ?? "";
    const call = async (method: string, path: string, headers: Record<string, string>) =>
      (await fetch(`${n2.url}/v1/operator/${path}`, { method, headers })).status;
    expect(await call("GET", "session", { cookie })).toBe(200);
    expect(await call("GET", "session", { cookie, "sec-fetch-site": "cross-site" })).toBe(403);
    expect(await call("POST", "users/x/revoke", { cookie })).toBe(403);
    expect(await call("POST", "users/x/revoke", { cookie, "x-tidegate-console": "1" })).toBe(200);
    expect(await call("GET", "session", { cookie: cookie.slice(0, -2) })).toBe(401);
    expect(await call("GET", "session", {})).toBe(401);
    expect((await fetch(`${n1.url}/v1/channels`, { headers: { authorization: `Bearer ${admin}` } })).status).toBe(401);
  });

  test("wrong secrets are limited by address, as bearer too, and then a right one is refused as well", async () => {
    const node = await startNode("n1", freshPrefix());
    const statuses: number[] = [];

    for (let i = 0; i < 5; i++) statuses.push((await signIn(node.url, "ada", `wrong-${i}`)).status);
    for (let i = 0; i < 3; i++)
      statuses.push((await backend(node.url, `wrong-${i}`).call("GET", "/v1/operator/audit")).status);

    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect((await signIn(node.url, "ada", admin)).status).toBe(429);
  });
});

test("every call is described, by a description that two validators accept", async () => {
  const node = await startNode("n1", freshPrefix());

  const { body: api } = await node.call("GET", "/openapi.json");

  expect(await new Validator().validate(structuredClone(api))).toMatchObject({ valid: true });
  await expect(SwaggerParser.validate(structuredClone(api) as never)).resolves.toBeTypeOf("object");
  const paths = Object.keys(api.paths).filter((path) => path.startsWith("/v1/operator/"));
  expect(paths).toHaveLength(37);
  expect(api.paths["/v1/operator/audit"].get.security).toEqual([{ operator: [] }, { operatorCookie: [] }]);
});

test("without operators there is no operator API, and the console's path says how to get one; with CONSOLE_PORT it is not on the public port", async () => {
  const none = await startGateway();
  const own = await startNode("n1", freshPrefix(), { CONSOLE_PORT: "0" });

  for (const { url } of [none, own]) {
    expect((await backend(url, admin).call("GET", "/v1/operator/overview")).status).toBe(401);
    expect((await fetch(`${url}/console/`)).status).toBe(404);
  }
  for (const path of ["/console", "/console/assets/x.js"])
    expect((await backend(none.url).call("GET", path)).body).toMatchObject({
      code: "not_found",
      detail: "The console is off. Set OPERATORS to name:secret:role to turn it on.",
    });
  const { body } = await backend(own.url).call("GET", "/console/");
  expect(body.detail).not.toContain("console");
});

test("connections are listed while clients come and go, and none twice", async () => {
  const node = await startNode("n1", freshPrefix());
  const { token } = await node.signIn("alice");
  for (let i = 0; i < 5; i++) await connectClient(node.url, token);

  const { body } = await backend(node.url, admin).call("GET", "/v1/operator/connections?limit=3");

  expect(body.connections).toHaveLength(3);
  const rest = await backend(node.url, admin).call("GET", `/v1/operator/connections?cursor=${body.cursor}`);
  const ids = [...body.connections, ...rest.body.connections].map(({ connectionId }: any) => connectionId);
  expect(new Set(ids).size).toBe(5);
});
