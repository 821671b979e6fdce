import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { overHttp } from "../../src/publisher/http.ts";
import { createPublisher } from "../../src/publisher/publisher.ts";
import { readableLog } from "../support/edge.ts";
import { readEvents } from "../support/event-stream.ts";
import { apiKey, startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { within } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** Two nodes that have just started, without an app. */
async function twoNodes(): Promise<[TestGateway, TestGateway]> {
  const prefix = freshPrefix();
  const nodes = await Promise.all(["n1", "n2"].map((nodeId) => startGateway({ prefix, env: { NODE_ID: nodeId } })));
  return nodes as [TestGateway, TestGateway];
}

const ask = (node: TestGateway, target: string, body: object) => node.call("POST", `/v1/${target}/request`, body);

async function connect(node: TestGateway, userId: string): Promise<Client> {
  return node.connect((await node.signIn(userId)).token);
}

const connectionIdsOf = (list: readonly { connectionId?: string | undefined }[]): string[] =>
  list.map(({ connectionId }) => String(connectionId)).toSorted();

type Acknowledge = (...answer: unknown[]) => void;

test("requests to clients are logged for debugging only, because they are as frequent as messages", async () => {
  const { log, lines } = readableLog();
  const gateway = await startGateway({ log });

  await ask(gateway, "users/nobody", { event: "hello" });

  const acts = () => lines.filter(({ msg }) => msg === "backend call acted on connections");
  await eventually(() =>
    expect(acts()).toEqual([expect.objectContaining({ operation: "requestUser", level: "debug" })]),
  );
});

describe("a request to a user", () => {
  test("is answered by its connections on all nodes, with several arguments and binary", async () => {
    const [n1, n2] = await twoNodes();
    const clients = await Promise.all([connect(n1, "ada"), connect(n2, "ada")]);
    const other = await connect(n2, "bob");
    for (const [index, client] of clients.entries())
      client.on("sign", (what: { id: number }, key: Buffer, done: Acknowledge) =>
        done(what.id + index, Buffer.concat([key, Buffer.from([index])])),
      );

    const { status, body } = await ask(n1, "users/ada", { event: "sign", args: [{ id: 7 }, { $binary: "AQI=" }] });

    expect(status).toBe(200);
    expect(body).toMatchObject({ silent: [], nodes: 2, acknowledged: 2 });
    expect(body.answers).toHaveLength(2);
    expect(body.answers).toEqual(
      expect.arrayContaining([
        { connectionId: clients[0]?.id, args: [7, { $binary: "AQIA" }] },
        { connectionId: clients[1]?.id, args: [8, { $binary: "AQIB" }] },
      ]),
    );
    expect(other.events.map(([name]) => name)).not.toContain("sign");
  });

  test("names the connections that have not answered when the time is over, or when they disconnect", async () => {
    const [n1, n2] = await twoNodes();

    // Who could have answered in that time if the machine had not stood still.
    await within(2_000, async () => {
      const user = randomUUID();
      const clients = await Promise.all([connect(n1, user), connect(n2, user), connect(n2, user)]);
      const [answering, mute, leaving] = clients;
      const silent = [mute, leaving].map(({ id }) => ({ connectionId: id }));
      answering.on("sure?", (done: Acknowledge) => done("yes"));
      leaving.on("sure?", () => void leaving.disconnect());

      const { body } = await ask(n1, `users/${user}`, { event: "sure?", timeoutMs: 1_500 });

      expect(body).toMatchObject({ answers: [{ args: ["yes"] }], nodes: 2, acknowledged: 2 });
      expect(connectionIdsOf(body.silent)).toEqual(connectionIdsOf(silent));
    });
  });

  test("ends with the first answer on request, whichever node it comes from", async () => {
    const [n1, n2] = await twoNodes();
    const [mute, answering] = await Promise.all([connect(n1, "ada"), connect(n2, "ada")]);
    answering.on("first?", (done: Acknowledge) => done("me"));
    const startedAt = performance.now();

    const { body } = await ask(n1, "users/ada", { event: "first?", wait: "first", timeoutMs: 60_000 });

    expect(performance.now() - startedAt).toBeLessThan(30_000);
    expect(body.answers).toEqual([{ connectionId: answering.id, args: ["me"] }]);
    await eventually(() => expect(mute.events.map(([name]) => name)).toContain("first?"));
  });

  test("asks nobody again if it is retried with its key", async () => {
    const [node] = await twoNodes();
    const client = await connect(node, "ada");
    let asked = 0;
    client.on("count", (done: Acknowledge) => done(++asked));
    const request = { event: "count", idempotencyKey: "k" };

    const first = await ask(node, "users/ada", request);
    const again = await ask(node, "users/ada", request);

    expect(first.body.answers).toEqual([{ connectionId: client.id, args: [1] }]);
    expect([again.body, asked]).toEqual([first.body, 1]);
  });
});

test("a request to a connection asks that one, wherever it is", async () => {
  const [n1, n2] = await twoNodes();
  const [one, two] = await Promise.all([connect(n2, "ada"), connect(n2, "ada")]);
  for (const client of [one, two]) client.on("hello", (done: Acknowledge) => done(client.id));

  const { body } = await ask(n1, `connections/${one.id}`, { event: "hello" });
  const nobody = await ask(n1, "connections/nobody", { event: "hello" });

  expect(body.answers).toEqual([{ connectionId: one.id, args: [one.id] }]);
  expect(nobody.body).toEqual({ answers: [], silent: [], nodes: 2, acknowledged: 2 });
});

test("the publisher library requests, and waits as long as the gateway does", async () => {
  const [node] = await twoNodes();
  const client = await connect(node, "ada");
  client.on("slow", (done: Acknowledge) => setTimeout(() => done("late"), 150));
  const publisher = createPublisher(overHttp({ url: node.url, apiKey, timeoutMs: 5_000 }));
  onTestFinished(() => publisher.close());

  const { answers } = await publisher.requestUser({ userId: "ada", event: "slow", timeoutMs: 30_000 });
  const one = await publisher.requestConnection({ connectionId: String(client.id), event: "slow" });

  expect([answers[0]?.args, one.answers[0]?.args]).toEqual([["late"], ["late"]]);
});

const elevenFiles = Array.from({ length: 11 }, () => ({ $binary: "AA==" }));

test.each([
  ["a reserved event", { event: "publication" }, "event", "bad_request"],
  ["an event of Socket.IO", { event: "disconnect" }, "event", "bad_request"],
  ["arguments that are no list", { event: "x", args: { a: 1 } }, "args", "bad_request"],
  ["too many arguments", { event: "x", args: Array(33).fill(0) }, "args", "bad_request"],
  ["too many binary values", { event: "x", args: elevenFiles }, "args", "bad_request"],
  ["arguments that are too large", { event: "x", args: ["a".repeat(70_000)] }, "args", "payload_too_large"],
  ["too long a time", { event: "x", timeoutMs: 60_001 }, "timeoutMs", "bad_request"],
  ["an unknown way to wait", { event: "x", wait: "some" }, "wait", "bad_request"],
])("%s is refused by field", async (_, body, field, code) => {
  const node = await startGateway();

  expect((await ask(node, "users/ada", body)).body).toMatchObject({ code, field });
});

describe("a client", () => {
  test("that acknowledges more than it was asked is disconnected", async () => {
    const node = await startGateway();
    const client = await connect(node, "ada");
    client.on("once", (done: Acknowledge) => done());

    await ask(node, "users/ada", { event: "once" });
    expect(client.connected).toBe(true);
    client.io.engine.write('43999["again"]');

    await eventually(() => expect(client.connected).toBe(false));
    expect(client.events).toContainEqual(["closing", expect.objectContaining({ code: "protocol_error" })]);
  });

  test("that answers too late is not disconnected", async () => {
    const node = await startGateway();
    const client = await connect(node, "ada");
    const asked: Acknowledge[] = [];
    client.on("late", (done: Acknowledge) => void asked.push(done));

    // Again if the time was over before the client was asked.
    await eventually(async () => {
      const { body } = await ask(node, "users/ada", { event: "late", timeoutMs: 50 });
      expect(connectionIdsOf(body.silent)).toEqual([client.id]);
      expect(asked).not.toEqual([]);
    });
    for (const answer of asked) answer("too late");

    expect(await client.emitWithAck("sessions:list", {})).toMatchObject({ ok: true });
  });
});

test("streams cannot acknowledge, and are named at once", async () => {
  const node = await startGateway({ file: { channels: { chat: { subscribe: "public" } } } });
  const { token } = await node.signIn("ada");
  await readEvents(`${node.url}/v1/stream?channel=chat:1`, { authorization: `Bearer ${token}` });
  const stream = await eventually(async () => {
    const [one] = (await node.call("GET", "/v1/users/ada/connections")).body.connections;
    expect(one).toBeDefined();
    return one;
  });

  const { body } = await ask(node, "users/ada", { event: "hello", timeoutMs: 60_000 });

  expect(body).toMatchObject({ answers: [], silent: [{ connectionId: stream.connectionId }] });
});
