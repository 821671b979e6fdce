import { expect, it } from "vitest";
import { z } from "zod";
import { closing } from "../../src/protocol/closings.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { jsonValue } from "../../src/protocol/scalars.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { clientHandler, type ClientHandler } from "../../src/connections/client-handler.ts";
import {
  connected,
  deferred,
  echoHandlers,
  readableLog,
  startEdge,
  stockClient,
  type EdgeOptions,
} from "../support/edge.ts";
import { RawSocket } from "../support/hostile.ts";

/** Handlers whose end the test decides, in the order they began. */
function slowHandlers(): { handlers: ClientHandler[]; begun: string[]; finish: (what: string) => void } {
  const begun: string[] = [];
  const waiting = new Map<string, () => void>();
  const handler = (event: string): ClientHandler =>
    clientHandler(event, z.looseObject({ id: z.string() }), async (_, { id }) => {
      begun.push(id);
      const { promise, resolve } = deferred();
      waiting.set(id, resolve);
      await promise;
      return { id };
    });
  return { handlers: [handler("first"), handler("second")], begun, finish: (id) => waiting.get(id)?.() };
}

async function client(options: EdgeOptions, transports = ["websocket"]) {
  const edge = await startEdge({ ...options, handlers: [...echoHandlers, ...(options.handlers ?? [])] });
  return { edge, socket: await connected(stockClient(edge.url, { transports })) };
}

it("handles messages of one channel in the order they came, and others meanwhile", async () => {
  const { handlers, begun, finish } = slowHandlers();
  const { socket } = await client({ handlers });
  const answers: unknown[] = [];
  const send = (event: string, message: { id: string; channel?: string; board?: string }): void =>
    void socket.emit(event, message, (answer: { id: string }) => answers.push(answer.id));

  send("first", { id: "a1", channel: "a" });
  send("second", { id: "a2", channel: "a" });
  send("first", { id: "b1", channel: "b" });
  send("first", { id: "c1", board: "c" });
  send("second", { id: "c2", board: "c" });
  send("second", { id: "free" });
  await expect.poll(() => begun).toEqual(["a1", "b1", "c1", "free"]);
  finish("b1");
  await expect.poll(() => answers).toEqual(["b1"]);
  finish("a1");
  await expect.poll(() => begun).toContain("a2");
  finish("a2");

  await expect.poll(() => answers).toEqual(["b1", "a1", "a2"]);
  expect(begun).not.toContain("c2");
});

it("asks the app in the order in which a client sent its events, also about a channel whose requests wait", async () => {
  const { handlers, begun, finish } = slowHandlers();
  const app = {
    handlerOf: (_: unknown, event: string) => (event === "say" ? async () => [begun.push("said")] : undefined),
  };
  const { socket } = await client({ handlers, app, asksApp: (event) => event === "second" });
  const send = (event: string, id: string): void => void socket.emit(event, { id, channel: "a" }, () => undefined);

  send("first", "a1");
  send("second", "asked");
  const said = socket.emitWithAck("say", "hello");
  send("first", "a2");
  await socket.emitWithAck("echo", { text: "all have arrived" });
  expect(begun).toEqual(["a1"]);
  finish("a1");
  await expect.poll(() => begun).toEqual(["a1", "asked"]);
  finish("asked");
  await said;

  await expect.poll(() => begun.toSorted()).toEqual(["a1", "a2", "asked", "said"]);
});

it("answers a client that the app disconnects first, also if a schema takes its time to check the answer", async () => {
  let handled: Connection | undefined;
  const leave = async (connection: Connection): Promise<readonly unknown[]> => {
    handled = connection;
    setImmediate(() => connection.close(closing("disconnected_by_backend")));
    return ["bye"];
  };
  const app = {
    handlerOf: (connection: Connection, event: string) => (event === "leave" ? () => leave(connection) : undefined),
  };
  const answer = async (_: string, args: readonly unknown[]) => {
    await expect.poll(() => handled?.isOpen).toBe(false);
    return args;
  };
  const checks = { namespace: () => ({ event: async (_: string, args: readonly unknown[]) => args, answer }) };
  const { socket } = await client({ app, checks });
  const told: unknown[] = [];
  socket.on("closing", ({ code }) => told.push(code));
  const disconnected = new Promise((resolve) => void socket.once("disconnect", resolve));

  socket.emit("leave", (said: string) => told.push(said));
  await disconnected;

  expect(told).toEqual(["bye", "disconnected_by_backend"]);
});

it("does not let those wait whose place in order is given once they have begun", async () => {
  const begun: string[] = [];
  const { promise: never } = deferred<object>();
  const begin = (_: unknown, { id }: { id: string }): Promise<object> => (begun.push(id), never);
  const schema = z.looseObject({ id: z.string() });
  const handlers = [
    clientHandler("quick", schema, begin, { isOrderedOnceStarted: true }),
    clientHandler("slow", schema, begin),
  ];
  const { socket } = await client({ handlers });

  for (const [event, id] of [
    ["quick", "1"],
    ["quick", "2"],
    ["slow", "3"],
    ["quick", "behind"],
  ] as const)
    socket.emit(event, { id, channel: "a" }, () => undefined);

  await expect.poll(() => begun).toEqual(["1", "2", "3"]);
  await socket.emitWithAck("echo", { text: "later" });
  expect(begun).toEqual(["1", "2", "3"]);
});

it("goes on in a channel after a handler failed", async () => {
  const handlers = [
    clientHandler("fail", z.strictObject({ channel: z.string() }), () => {
      throw new GatewayError("forbidden", "Not this one.", { field: "channel" });
    }),
    clientHandler("pass", z.strictObject({ channel: z.string() }), ({ id }) => ({ id })),
  ];
  const { socket } = await client({ handlers });

  const [failed, passed] = await Promise.all([
    socket.emitWithAck("fail", { channel: "a" }),
    socket.emitWithAck("pass", { channel: "a" }),
  ]);

  expect(failed).toEqual({ ok: false, error: { code: "forbidden", message: "Not this one." } });
  expect(passed).toMatchObject({ ok: true });
});

it("bounds the messages that wait for their answer", async () => {
  const { handlers, begun } = slowHandlers();
  // What a client sends at once is one request here.
  const { socket } = await client({ handlers, maxUnanswered: 3 }, ["polling"]);
  for (let id = 1; id <= 12; id += 1) socket.emit("first", { id: `${id}`, channel: "a" });

  const answer: unknown = await socket.emitWithAck("first", { id: "13" });

  expect(answer).toMatchObject({ ok: false, error: { code: "rate_limited", retryAfterMs: 1_000 } });
  expect(begun).toEqual(["1"]);
});

it("handles all that has come at once, also if that is more than may be in flight before it stops reading", async () => {
  const { handlers, begun, finish } = slowHandlers();
  const { socket } = await client({ handlers, maxUnanswered: 4 }, ["polling"]);
  const ids = Array.from({ length: 16 }, (_, index) => `${index + 1}`);

  const answers = ids.map(async (id): Promise<unknown> => socket.emitWithAck("first", { id, channel: id }));
  await expect.poll(() => begun).toEqual(ids);
  for (const id of ids) finish(id);

  expect(await Promise.all(answers)).toEqual(ids.map(() => expect.objectContaining({ ok: true })));
});

it("reads no more of who does not wait for answers, until there are fewer; and then all of it", async () => {
  const { handlers, finish } = slowHandlers();
  const { socket, edge } = await client({ handlers, maxUnanswered: 4 });
  const attacker = await new RawSocket(edge).entered();
  const answers = (): number => attacker.received.filter((packet) => packet.startsWith("43")).length;

  for (let id = 1; id <= 4; id += 1) attacker.send(`42${id}["first",{"id":"${id}","channel":"${id}"}]`);
  const padding = "x".repeat(1_000);
  for (let id = 5; id <= 2_000; id += 1) attacker.send(`42${id}["echo",{"text":"${padding}"}]`);
  for (let turn = 0; turn < 100; turn += 1) await socket.emitWithAck("echo", { text: "meanwhile" });
  const unread = 2_000 - answers();
  for (let id = 1; id <= 4; id += 1) finish(`${id}`);
  await attacker.until(() => answers() === 2_000);

  expect(unread).toBeGreaterThan(1_000);
  expect(attacker.closeCode).toBeUndefined();
});

it("asks the limiter about every message, by the handler's name or as invalid", async () => {
  const asked: string[] = [];
  const { socket, edge } = await client({
    throttle(connection, event) {
      asked.push(`${connection.identity.userId} ${event}`);
      return { allowed: event !== "mirror", retryAfterMs: 40 };
    },
  });

  expect(await socket.emitWithAck("echo", { text: "x" })).toEqual({ ok: true, text: "x" });
  expect(await socket.emitWithAck("mirror", { data: 1 })).toEqual({
    ok: false,
    error: { code: "rate_limited", message: "Too many requests.", retryAfterMs: 40 },
  });
  expect(await socket.emitWithAck("echo", { text: 1 })).toMatchObject({ error: { code: "bad_request" } });
  expect(await socket.emitWithAck("nonsense", {})).toMatchObject({ error: { code: "unknown_event" } });

  expect(asked).toEqual(["ann echo", "ann mirror", "ann invalid", "ann invalid"]);
  const { values } = await edge.metrics.refusals.get();
  expect(values).toContainEqual(
    expect.objectContaining({ labels: { code: "rate_limited", limiter: "messages" }, value: 1 }),
  );
});

it("refuses by its own name what is wrong, though the limiter fails", async () => {
  const { socket } = await client({ throttle: () => Promise.reject(new Error("no limiter")) });

  expect(await socket.emitWithAck("echo", { text: 1 })).toMatchObject({ error: { code: "bad_request" } });
  expect(await socket.emitWithAck("echo", { text: "x" })).toMatchObject({ error: { code: "internal" } });
});

it("leaves out a time to come back where there is none", async () => {
  const { socket } = await client({ throttle: () => ({ allowed: false, retryAfterMs: Infinity }) });

  expect(await socket.emitWithAck("echo", { text: "x" })).toEqual({
    ok: false,
    error: { code: "rate_limited", message: "Too many requests." },
  });
});

it("pays for an exception with one acknowledgement, and logs it once with its stack", async () => {
  const { log, lines } = readableLog();
  // Once a second: for the log none passes.
  const { socket, edge } = await client({ log, clock: { ...systemClock, monotonic: () => 1_000 } });

  const answers = await Promise.all(
    Array.from({ length: 50 }, () => socket.emitWithAck("break", {}) as Promise<object>),
  );

  for (const answer of answers) {
    expect(answer).toEqual({
      ok: false,
      error: { code: "internal", message: "Internal error. Details are in the server log." },
    });
  }
  const failures = lines.filter(({ place }) => place === "event break");
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatchObject({
    err: { message: "a secret of the house", stack: expect.stringContaining("edge.ts") },
  });
  expect((await edge.metrics.eventErrors.get()).values[0]?.value).toBe(50);
  expect(await socket.emitWithAck("echo", { text: "x" })).toEqual({ ok: true, text: "x" });
});

it.each([
  ["throws what is no error", throwNonsense],
  ["answers what is no JSON", () => Promise.resolve({ big: 1n })],
  ["answers in a circle", () => Promise.resolve(circle())],
  ["answers nothing", () => Promise.resolve(undefined as unknown as object)],
])("survives a handler that %s", async (_, handle) => {
  const { socket } = await client({ handlers: [clientHandler("odd", z.strictObject({}), handle)] });

  expect(await socket.timeout(20_000).emitWithAck("odd", {})).toHaveProperty("ok");
  expect(await socket.emitWithAck("echo", { text: "x" })).toEqual({ ok: true, text: "x" });
});

/** What code in other hands may throw. */
function throwNonsense(): never {
  const nonsense: unknown = "nonsense";
  throw nonsense as Error;
}

function circle(): object {
  const round: { self?: object } = {};
  round.self = round;
  return round;
}

it("tells of a store that is away", async () => {
  const away = Object.assign(new Error("Command timed out"), { name: "Error" });
  const { socket } = await client({
    handlers: [clientHandler("store", z.strictObject({}), () => Promise.reject(away))],
  });

  expect(await socket.emitWithAck("store", {})).toMatchObject({
    ok: false,
    error: { code: "unavailable", retryAfterMs: expect.any(Number) },
  });
});

it("takes no more messages once the connection is to close", async () => {
  const handled: unknown[] = [];
  const handlers = [
    clientHandler("note", z.strictObject({ data: jsonValue }), (_, { data }) => {
      handled.push(data);
      return {};
    }),
  ];
  const edge = await startEdge({ handlers });
  const attacker = await new RawSocket(edge).entered();

  attacker.send('421["note",{"data":1}]', "451-[]", '422["note",{"data":2}]', '423["note",{"data":3}]');
  await attacker.until(() => attacker.closeCode !== undefined);

  expect(handled).not.toContain(3);
});

it("holds answers back while the node may not answer, and gives none to a connection that is closed meanwhile", async () => {
  const { promise: allowed, resolve: allow } = deferred();
  let isHeld = true;
  const { socket, edge } = await client({ untilAnswersAllowed: () => (isHeld ? allowed : undefined) });
  const other = await connected(stockClient(edge.url, { transports: ["websocket"] }));
  const answers: string[] = [];
  for (const [name, from] of [
    ["closed", socket],
    ["open", other],
  ] as const)
    from.emit("echo", { text: "private" }, () => answers.push(name));
  // Refusals hold nothing private, and come in either case.
  const refusal = await other.emitWithAck("nothing-of-that-name", {});
  await socket.emitWithAck("nothing-of-that-name", {});
  edge.sockets.connections.get(socket.id!)!.close(closing("session_revoked"));
  isHeld = false;
  allow();

  await expect.poll(() => answers).toEqual(["open"]);
  expect(refusal).toMatchObject({ ok: false });
  await expect.poll(() => socket.connected).toBe(false);
  expect(answers).toEqual(["open"]);
});

it("logs at most 20 names of events that nothing handles, and counts the others", async () => {
  const { log, lines } = readableLog();
  const { socket } = await client({ log });

  for (let n = 1; n < 30; n += 1) await socket.emitWithAck(`nonsense-${n}`, {});
  await socket.emitWithAck("nonsense-1", {});

  const logged = lines.filter(({ msg }) => msg === "no handler for an event of a client");
  expect(logged.map(({ event }) => event)).toEqual(Array.from({ length: 20 }, (_, n) => `nonsense-${n + 1}`));
  expect(lines).toContainEqual(
    expect.objectContaining({ event: "nonsense-21", msg: "no handlers for many events of clients" }),
  );
});
