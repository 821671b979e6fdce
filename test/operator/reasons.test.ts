import jsonwebtoken from "jsonwebtoken";
import { expect, test } from "vitest";
import { developmentSecret } from "../../src/config/credentials.ts";
import { createReasonLog } from "../../src/runtime/reason-log.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { metricOf } from "../support/flooder.ts";
import { connectClient, startGateway } from "../support/gateway.ts";
import { recordingLog } from "../http/support.ts";
import { eventually, quietLog } from "../support/world.ts";

test("a client that floods has one entry, and the number of entries and their lengths are bounded", async () => {
  const clock = new FakeClock();
  const reasons = createReasonLog({ clock, log: quietLog }, { maxEntries: 10 });
  const flood = { kind: "event", code: "rate_limited", rule: "limit messages", connectionId: "c1" } as const;

  for (let i = 0; i < 1_000; i++) reasons.record(flood);
  await clock.advance(1);
  for (let i = 0; i < 8; i++)
    reasons.record({ kind: "http", code: "bad_request", operation: `op ${i}`, detail: "x".repeat(9_999) });

  const latest = reasons.latest(100);
  expect(latest).toHaveLength(9);
  expect(latest.at(-1)).toEqual({ ...flood, at: clock.now() - 1, count: 1_000 });
  expect(latest[0]?.detail).toHaveLength(256);
  for (let i = 8; i < 20; i++) reasons.record({ kind: "http", code: "bad_request", operation: `op ${i}` });
  expect(reasons.latest(100)).toHaveLength(10);
  expect(reasons.latest(3)).toHaveLength(3);
});

test("each refused token is logged at debug and counted by the rule it broke, without any of the token", async () => {
  const { log, lines } = recordingLog();
  const { url, signIn } = await startGateway({ log, env: { JWT_ISSUER: "https://issuer.example" } });
  const { sessionId, token } = await signIn("alice");
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    sub: "alice",
    sid: sessionId,
    jti: "t1",
    iat: now - 10,
    exp: now + 60,
    iss: "https://issuer.example",
  };
  const sign = (changes: object, secret = developmentSecret) => jsonwebtoken.sign({ ...claims, ...changes }, secret);
  const tokens = {
    signature: sign({}, "another secret that is long enough"),
    claim_iss: sign({ iss: "https://elsewhere.example" }),
    expired: sign({ iat: now - 100, exp: now - 40 }),
    session: sign({ sid: `${sessionId.slice(0, -1)}${sessionId.endsWith("A") ? "B" : "A"}` }),
    malformed: "no.token",
  };

  for (const [rule, bad] of Object.entries(tokens)) {
    await expect(connectClient(url, bad)).rejects.toThrow();
    await eventually(async () =>
      expect([rule, await metricOf(url, "gateway_refusals_total", { rule })]).toEqual([rule, 1]),
    );
  }

  const refused = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "refused");
  expect(refused.map(({ rule }) => rule)).toEqual(Object.keys(tokens));
  expect(refused[2]).toMatchObject({ code: "token_expired", userId: "alice", sessionId, address: "127.0.0.1" });
  expect(refused[2].detail).toMatch(/^expired 4\d(\.\d)? s ago$/);
  for (const secret of [...Object.values(tokens), token, "elsewhere"])
    expect(lines.filter((line) => line.includes(secret))).toEqual([]);
});

test("a connection's life is logged at debug: connected, refused a subscription, closed, disconnected", async () => {
  const { log, lines } = recordingLog();
  const { url, call, signIn, connect } = await startGateway({
    log,
    file: { channels: { chat: { subscribe: "granted" } } },
  });
  const { token, sessionId } = await signIn("alice");
  const client = await connect(token);
  const who = { userId: "alice", sessionId, connectionId: client.id, address: "127.0.0.1" };

  expect(await client.emitWithAck("subscribe", { channel: "chat:1" })).toMatchObject({ error: { code: "forbidden" } });
  const headers = { "x-request-id": "req-7" };
  const answer = await call("POST", "/v1/users/alice/disconnect", { message: "bye" }, headers);
  expect(answer.headers.get("x-request-id")).toBe("req-7");

  const logged = (msg: string) => lines.map((line) => JSON.parse(line)).filter((line) => line.msg === msg);
  await eventually(() => expect(logged("disconnected")).toHaveLength(1));
  expect(logged("connected")).toEqual([expect.objectContaining({ ...who, transport: "websocket", level: "debug" })]);
  expect(logged("refused")).toEqual([
    expect.objectContaining({
      ...who,
      rule: "grant",
      operation: "subscribe",
      channel: "chat:1",
      detail: 'channels.chat.subscribe is ["granted"]',
    }),
  ]);
  expect(logged("closed a connection")).toEqual([expect.objectContaining({ ...who, code: "disconnected_by_backend" })]);
  expect(logged("disconnected")[0]).toMatchObject({ ...who, reason: "disconnected_by_backend" });
  expect(logged("backend call acted on connections")).toEqual([
    expect.objectContaining({
      level: "info",
      caller: "test",
      operation: "disconnectUser",
      target: { userId: "alice" },
      outcome: { disconnected: 1, nodes: 1, acknowledged: 1 },
      requestId: "req-7",
    }),
  ]);
  expect(await metricOf(url, "gateway_refusals_total", { rule: "grant" })).toBe(1);
});

test("a backend call is logged at info only if it acted on something, and for debugging otherwise", async () => {
  const { log, lines } = recordingLog();
  const { call, signIn, connect } = await startGateway({ log });
  const { token, sessionId } = await signIn("bob");
  const bob = await connect(token);
  const { sessionId: ended } = await signIn("eve");
  await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
  const update = (body: object) => call("PATCH", "/v1/orders/o-1", body);

  await update({ data: { n: 1 } });
  await update({ parties: { courier: "bob" } });
  await bob.emitWithAck("subscribe", { channel: "order:o-1" });
  await update({ parties: { courier: null } });
  await call("PUT", "/v1/users/nobody/block", {});
  await call("DELETE", "/v1/users/nobody/block");
  await call("POST", "/v1/users/nobody/unsubscribe", { channel: "chat:1" });
  await call("PATCH", `/v1/sessions/${ended}`, { roles: ["staff"] });
  await call("PATCH", `/v1/sessions/${sessionId}`, { roles: ["staff"] });
  await call("DELETE", `/v1/sessions/${ended}`);
  await call("DELETE", "/v1/users/nobody");
  await call("DELETE", "/v1/users/bob");

  const acts = lines
    .map((line) => JSON.parse(line))
    .filter(({ msg }) => msg === "backend call acted on connections")
    .map(({ level, operation, acted, outcome: { nodes: _nodes, acknowledged: _acknowledged, ...counts } }) => [
      level,
      operation,
      acted === undefined ? counts : { acted, ...counts },
    ]);
  expect(acts).toEqual([
    ["debug", "updateOrder", { acted: 0 }],
    ["debug", "updateOrder", { acted: 0 }],
    ["info", "updateOrder", { acted: 1 }],
    ["debug", "blockUser", { disconnected: 0 }],
    ["debug", "unblockUser", { disconnected: 0 }],
    ["debug", "unsubscribeUser", { connections: 0 }],
    ["debug", "updateSession", { acted: 0 }],
    ["info", "updateSession", { acted: 1 }],
    ["info", "endSession", { revoked: 1, disconnected: 0 }],
    ["debug", "eraseUser", { acted: 0 }],
    ["info", "eraseUser", { acted: 1 }],
  ]);
});

test("wrong API keys are logged with their address, a few for many, and without the key", async () => {
  const { log, lines } = recordingLog();
  const { call } = await startGateway({ log });

  for (let i = 0; i < 20; i++) {
    const { status, headers } = await call("GET", "/v1/channels", undefined, { authorization: "Bearer wrong-key-7" });
    expect([status, headers.get("x-request-id")]).toEqual([401, expect.stringMatching(/^[\w-]{8}-\w+$/)]);
  }

  const warned = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "refused an API key");
  expect(warned.length).toBeLessThan(5);
  expect(warned[0]).toMatchObject({ level: "warn", address: "127.0.0.1" });
  expect(lines.filter((line) => line.includes("wrong-key-7"))).toEqual([]);
});
