import { describe, expect, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { LiveTraces } from "../../src/operator/live-traces.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { backend, startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { heardOfAll } from "./heard-of-all.ts";

const admin = "admin-secret-of-at-least-thirty-two-bytes";
const viewer = "viewer-secret-of-at-least-thirty-two-bytes";
const file = { channels: { chat: { subscribe: "public", publish: "public" }, private: { subscribe: "granted" } } };
const env = { OPERATORS: `ada:${admin}:admin,vic:${viewer}:viewer` };

interface Traced {
  kind: string;
  nodeId: string;
  at: number;
  args?: string;
  answer?: string;
  [field: string]: unknown;
}

async function twoNodes() {
  const prefix = freshPrefix();
  const nodes = ["n1", "n2"].map((NODE_ID) => startGateway({ prefix, file, env: { ...env, NODE_ID } }));
  const [n1, n2] = (await Promise.all(nodes)) as [TestGateway, TestGateway];
  const asAdmin = backend(n1.url, admin).call;
  // A node learns of another with its next heartbeat.
  await eventually(async () => expect((await asAdmin("GET", "/v1/operator/overview")).body.nodes).toHaveLength(2));

  /** Another one where a node has not acknowledged the first within a second. */
  const start = (body: object): Promise<string> =>
    eventually(async () => {
      const { status, body: trace } = await asAdmin("POST", "/v1/operator/traces", body);
      if (trace.acknowledged === 1) await asAdmin("DELETE", `/v1/operator/traces/${trace.traceId}`);
      expect([status, trace]).toEqual([201, expect.objectContaining({ ...body, nodes: 2, acknowledged: 2 })]);
      return trace.traceId as string;
    });
  const read = async (traceId: string, by = admin, on = n1): Promise<Traced[]> =>
    (await heardOfAll(() => backend(on.url, by).call("GET", `/v1/operator/traces/${traceId}`))).body.events;
  const untilTraced = (traceId: string, ...wanted: object[]): Promise<Traced[]> =>
    eventually(async () => {
      const events = await read(traceId);
      for (const one of wanted) expect(events).toContainEqual(expect.objectContaining(one));
      return events;
    });
  return { n1, n2, asAdmin, start, read, untilTraced };
}

describe("over two nodes", () => {
  test("a user's handshakes, events, publications, recoveries, refusals and closings are seen, on whichever node", async () => {
    const { n1, n2, asAdmin, start, untilTraced } = await twoNodes();
    const traceId = await start({ userId: "alice" });
    const alice = await n1.signIn("alice");
    const client = await n2.connect(alice.token);
    const bystander = await n1.connect((await n1.signIn("bob")).token);

    const { epoch } = await client.emitWithAck("subscribe", { channel: "chat:1" });
    await client.emitWithAck("publish", { channel: "chat:1", event: "said", data: { text: "x".repeat(5_000) } });
    await client.emitWithAck("subscribe", { channel: "private:1" });
    await client.emitWithAck("nothing", { token: "a-secret" });
    await bystander.emitWithAck("subscribe", { channel: "chat:2" });
    for (const wrong of [[], [null]])
      expect(await bystander.timeout(20_000).emitWithAck("subscribe", ...wrong)).toMatchObject({
        error: { code: "bad_request" },
      });
    await client.emitWithAck("unsubscribe", { channel: "chat:1" });
    await client.emitWithAck("subscribe", { channel: "chat:1", since: { epoch, offset: 0 } });
    await client.emitWithAck("subscribe", { channel: "chat:1", since: { epoch: "other", offset: 0 } });
    await n1.call("DELETE", "/v1/users/alice/sessions");
    await eventually(() => expect(client.connected).toBe(false));
    await expect(n1.connect(alice.token)).rejects.toThrow();

    const onN2 = { nodeId: "n2", userId: "alice", sessionId: alice.sessionId };
    const events = await untilTraced(
      traceId,
      { ...onN2, kind: "handshake", step: "authenticated", ms: expect.any(Number) },
      { ...onN2, kind: "handshake", step: "ready", transport: "websocket" },
      { ...onN2, kind: "event", event: "subscribe", channel: "chat:1", answer: expect.stringContaining('"offset":0') },
      { ...onN2, kind: "event", event: "subscribe", channel: "private:1", code: "forbidden", rule: "grant" },
      { ...onN2, kind: "event", event: "nothing", code: "unknown_event", args: '[{"token":"***"}]' },
      { kind: "delivery", nodeId: "n2", channel: "chat:1", position: { epoch, offset: 1 }, receivers: 1 },
      { ...onN2, kind: "recovery", recovered: true, from: `${epoch}:0`, to: `${epoch}:1`, missed: 1 },
      { ...onN2, kind: "recovery", recovered: false, detail: expect.stringContaining("another epoch") },
      { nodeId: "n1", kind: "act", userId: "alice", event: "endUserSessions", detail: "API key test" },
      { ...onN2, kind: "closing", code: "session_revoked" },
      { ...onN2, kind: "disconnect" },
      { nodeId: "n1", kind: "handshake", step: "refused", userId: "alice", code: "session_expired" },
    );
    expect(events.filter(({ userId }) => userId === "bob")).toEqual([]);
    expect(JSON.stringify(events)).not.toContain("a-secret");
    for (const { args = "", answer = "" } of events) expect(Math.max(args.length, answer.length)).toBeLessThan(1_100);
    expect(events).toEqual(events.toSorted((a, b) => a.at - b.at));
    await asAdmin("DELETE", `/v1/operator/traces/${traceId}`);
  });

  test("a channel's publications show their path over the nodes; viewers see them masked and cannot start or stop", async () => {
    const { n1, n2, asAdmin, start, read, untilTraced } = await twoNodes();
    const traceId = await start({ channel: "chat:7" });
    const reader = await n2.connect((await n1.signIn("carol")).token);
    await reader.emitWithAck("subscribe", { channel: "chat:7" });

    const { epoch } = (await n1.call("POST", "/v1/publish", { channel: "chat:7", event: "said", data: 1 })).body;

    const position = { epoch, offset: 1 };
    await untilTraced(
      traceId,
      { kind: "command", nodeId: "n1", event: "publish", path: "http → log", position },
      { kind: "delivery", nodeId: "n2", path: "log → node → connection", position, receivers: 1 },
    );
    const masked = await read(traceId, viewer, n2);
    expect(masked).toContainEqual(expect.objectContaining({ kind: "event", event: "subscribe" }));
    expect(masked.filter((event) => "args" in event || "answer" in event)).toEqual([]);
    const asViewer = backend(n1.url, viewer).call;
    expect((await asViewer("POST", "/v1/operator/traces", { userId: "x" })).status).toBe(403);
    expect((await asViewer("DELETE", `/v1/operator/traces/${traceId}`)).status).toBe(403);
    expect((await heardOfAll(() => asViewer("GET", "/v1/operator/traces"))).body.traces).toContainEqual(
      expect.objectContaining({ traceId, channel: "chat:7", startedBy: "ada" }),
    );

    expect((await asAdmin("DELETE", `/v1/operator/traces/${traceId}`)).body).toEqual({
      stopped: 2,
      nodes: 2,
      acknowledged: 2,
    });
    await eventually(async () => expect((await asAdmin("GET", "/v1/operator/traces")).body.traces).toEqual([]));
  });

  test("a stock client that returns shows what it missed", async () => {
    const { n1, n2, asAdmin, start, untilTraced } = await twoNodes();
    const { token } = await n1.signIn("erin");
    const client = await n1.connect(token, { reconnection: true, reconnectionDelay: 200, randomizationFactor: 0 });
    await client.emitWithAck("subscribe", { channel: "chat:3" });
    const traceId = await start({ userId: "erin" });
    client.io.engine.close();
    await n2.call("POST", "/v1/publish", { channel: "chat:3", event: "said", data: 1 });

    await untilTraced(traceId, { kind: "recovery", userId: "erin", recovered: true, missed: expect.any(Number) });
    await n2.connect(token, { auth: { token, pid: "of nobody", offset: "7" } });
    const detail = "the session is unknown, or the time in which it could be recovered is over";
    await untilTraced(traceId, { kind: "recovery", nodeId: "n2", userId: "erin", recovered: false, from: "7", detail });
    await eventually(() => expect(client.connected).toBe(true));
    await n2.call("POST", "/v1/publish", { channel: "chat:3", event: "typing", data: 1, ephemeral: true });
    await untilTraced(traceId, { kind: "delivery", nodeId: "n1", channel: "chat:3", event: "ephemeral", receivers: 1 });
    await asAdmin("DELETE", `/v1/operator/traces/${traceId}`);
  });

  test("what is wrong is refused by its field, and there are at most eight at a time", async () => {
    const { asAdmin, start } = await twoNodes();
    const problem = async (body: object) => (await asAdmin("POST", "/v1/operator/traces", body)).body;
    expect(await problem({})).toMatchObject({ code: "bad_request", detail: expect.stringContaining("exactly one") });
    expect(await problem({ userId: "a", more: 1 })).toMatchObject({ code: "bad_request", field: "more" });
    expect(await problem({ userId: "a", seconds: 601 })).toMatchObject({ field: "seconds" });
    expect((await asAdmin("GET", "/v1/operator/traces/none")).status).toBe(404);
    expect((await asAdmin("GET", "/v1/operator/traces/none?cursor=x")).body).toMatchObject({ field: "cursor" });
    const ids = [];
    for (let i = 0; i < 8; i++) ids.push(await start({ userId: `user-${i}` }));
    expect(await problem({ userId: "one-more" })).toMatchObject({ code: "conflict" });
    await Promise.all(ids.map((traceId) => asAdmin("DELETE", `/v1/operator/traces/${traceId}`)));
  });

  test("`tidegate trace` prints the same until it is interrupted, and ends the trace", async () => {
    const { n1, n2, asAdmin } = await twoNodes();
    const lines: string[] = [];
    const interrupts: ((signal: string) => void)[] = [];
    const host = {
      env: { OPERATORS: env.OPERATORS },
      isTerminal: false,
      print: (text: string) => void lines.push(text),
      printError: (text: string) => void lines.push(text),
      onSignal: (listener: (signal: string) => void) => void interrupts.push(listener),
      onOutputClosed: () => undefined,
      onStrayError: () => undefined,
      exit: () => undefined,
    };

    const running = runCommandLine(["trace", "--user", "dave", "--url", n1.url], host);
    await eventually(() => expect(lines[0]).toMatch(/^tracing until 20.*stop with Ctrl-C$/));
    const client = await n2.connect((await n1.signIn("dave")).token);
    await client.emitWithAck("subscribe", { channel: "private:2" });
    await client.emitWithAck("\u001b[2J\nforged", 1);
    await eventually(() => expect(lines.join("")).toContain(" [2J forged"));
    for (const control of ["\n", "\u001b"]) expect(lines.join("")).not.toContain(control);
    await eventually(() =>
      expect(lines).toContainEqual(
        expect.stringMatching(/n2 {2}event {2}subscribe {2}private:2 {2}dave.*forbidden · grant/),
      ),
    );
    interrupts[0]?.("SIGINT");

    expect(await running).toBe(0);
    await eventually(async () => expect((await asAdmin("GET", "/v1/operator/traces")).body.traces).toEqual([]));
    expect(await runCommandLine(["trace", "--url", n1.url], host)).toBe(64);
    const withoutSecret = ["trace", "--user", "dave", "--url", n1.url];
    expect(lines.at(-1)).toBe("error: give exactly one of --user, --connection and --channel");
    expect(await runCommandLine(withoutSecret, { ...host, env: {} })).toBe(64);
  });
});

test("a trace ends by itself, keeps a bounded number of events and counts the others, and costs nothing afterwards", async () => {
  const clock = new FakeClock();
  const traces = new LiveTraces(clock);
  const trace = {
    traceId: "t",
    channel: "chat:1",
    startedBy: "ada",
    startedAt: clock.now(),
    endsAt: clock.now() + 600_000,
  };
  expect(traces.isActive).toBe(false);
  expect(traces.start(trace)).toBe(true);

  for (let second = 0; second < 20; second++) {
    for (let i = 0; i < 150; i++) traces.record({ kind: "delivery", channel: "chat:1" });
    traces.record({ kind: "delivery", channel: "chat:2" });
    await clock.advance(1_000);
  }

  const first = traces.read("t", 0);
  expect(first?.events).toHaveLength(500);
  const rest = traces.read("t", first?.last ?? 0);
  expect([rest?.events.length, rest?.skipped]).toEqual([500, 20 * 50 + 1_000]);
  expect(traces.read("t", rest?.last ?? 0)?.events).toEqual([]);
  await clock.advance(580_000);
  expect([traces.isActive, traces.list()]).toEqual([false, []]);
  expect(traces.read("t", 0)).toMatchObject({ hasEnded: true });
  await clock.advance(61_000);
  expect(traces.read("t", 0)).toBeUndefined();
});
