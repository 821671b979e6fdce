import { expect, test } from "vitest";
import { startGateway, told, type Client, type ClientOptions } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const open = { subscribe: "public", publish: "public" };
const file = { channels: { chat: open, talk: { ...open, deliver: "event" } } };
const channel = "chat:lobby";

/** One node with clients of these users, subscribed to `channel`. */
async function startNode(users: readonly string[], name = channel, options: ClientOptions = {}) {
  const gateway = await startGateway({ file });
  const join = async (user: string): Promise<Client> => {
    const client = await gateway.connect((await gateway.signIn(user)).token, options);
    await client.emitWithAck("subscribe", { channel: name });
    return client;
  };
  return { ...gateway, clients: await Promise.all(users.map(join)) };
}

const publish = (client: Client, fields: object, event = "said"): Promise<Record<string, any>> =>
  client.emitWithAck("publish", { channel, event, data: {}, ...fields });

test("a client's publication names its sender everywhere, and only the gateway says who that is", async () => {
  const { clients, call } = await startNode(["alice", "bob"]);
  const [alice, bob] = clients as [Client, Client];

  expect(await publish(alice, { from: { userId: "bob" } })).toMatchObject({ error: { code: "bad_request" } });
  const { epoch } = await publish(alice, { data: 1 });
  await call("POST", "/v1/publish", { channel, event: "said", data: 2, from: { userId: "carol", info: { n: 1 } } });
  await call("POST", "/v1/publish", { channel, event: "said", data: 3 });

  const senders = [{ userId: "alice", connectionId: alice.id }, { userId: "carol", info: { n: 1 } }, undefined];
  await eventually(() => expect(told(bob, "publication").map(({ from }) => from)).toEqual(senders));
  const history = await bob.emitWithAck("history", { channel });
  expect(history.publications.map(({ from }: any) => from)).toEqual(senders);
  const since = await bob.emitWithAck("subscribe", { channel, since: { epoch, offset: 0 } });
  expect(since.publications).toEqual(history.publications);
});

test("a retry over another connection is the same publication", async () => {
  const { clients } = await startNode(["alice", "alice"]);
  const [first, second] = clients as [Client, Client];

  const published = await publish(first, { idempotencyKey: "k" });

  expect(await publish(second, { idempotencyKey: "k" })).toEqual({ ...published, duplicate: true });
});

test("without echo a publisher gets the position only, live and when it recovers", async () => {
  const { clients } = await startNode(["alice", "bob"], channel, {
    reconnection: true,
    reconnectionDelay: 1,
    reconnectionDelayMax: 10,
  });
  const [alice, bob] = clients as [Client, Client];
  const { offset, epoch } = await publish(alice, { data: 1, echo: false });
  await publish(bob, { data: 2 });

  await eventually(() => expect(told(alice, "publication").map(({ data }) => data)).toEqual([2]));
  expect(told(alice, "position")).toEqual([{ channel, epoch, offset }]);
  await eventually(() => expect(told(bob, "publication").map(({ data }) => data)).toEqual([1, 2]));
  const since = await alice.emitWithAck("subscribe", { channel, since: { epoch, offset: 0 } });
  expect(since).toMatchObject({ recovered: true, offset: 2, publications: [{ data: 2 }], skipped: [1] });

  const back = new Promise((resolve) => alice.once("ready", resolve));
  const own = publish(alice, { data: 3, echo: false });
  const others = publish(bob, { data: 4 });
  await Promise.all([own, others]);
  alice.io.engine.close();
  await publish(bob, { data: 5 });
  await back;
  expect(alice.recovered).toBe(true);
  await eventually(() => expect(told(alice, "publication").map(({ data }) => data)).toEqual([2, 4, 5]));
});

test("a backend excludes a connection or a user", async () => {
  const { clients, call } = await startNode(["alice", "bob", "bob"]);
  const [alice, bob, tab] = clients as [Client, Client, Client];

  await call("POST", "/v1/publish", { channel, event: "said", data: 1, except: bob.id });
  await call("POST", "/v1/publish", { channel, event: "said", data: 2, except: ["user:bob"] });
  await call("POST", "/v1/publish", { channel, event: "said", data: 3 });

  const dataOf = (client: Client) => told(client, "publication").map(({ data }) => data);
  await eventually(() => expect([dataOf(alice), dataOf(bob), dataOf(tab)]).toEqual([[1, 2, 3], [3], [1, 3]]));
  expect(told(bob, "position").map(({ offset }) => offset)).toEqual([1, 2]);
  const tooMany = { channel, event: "said", data: 4, except: Array.from({ length: 17 }, () => "user:bob") };
  expect((await call("POST", "/v1/publish", tooMany)).body).toMatchObject({
    code: "bad_request",
    detail: "except: must be a name, or an array of 1 to 16 names",
  });
});

test("an ephemeral publication reaches who is there, and leaves nothing behind", async () => {
  const { clients, call } = await startNode(["alice", "bob"]);
  const [alice, bob] = clients as [Client, Client];

  expect(await publish(alice, { ephemeral: true, echo: false, data: "typing" })).toEqual({ ok: true, channel });
  const answer = await call("POST", "/v1/publish", { channel, event: "said", data: "é", ephemeral: true });
  expect(answer).toMatchObject({ status: 200, body: { channel } });

  const from = { userId: "alice", connectionId: alice.id };
  await eventually(() =>
    expect(told(bob, "publication")).toEqual([
      { channel, event: "said", data: "typing", from, publishedAt: expect.any(Number) },
      { channel, event: "said", data: "é", publishedAt: expect.any(Number) },
    ]),
  );
  await eventually(() => expect(told(alice, "publication").map(({ data }) => data)).toEqual(["é"]));
  expect(await bob.emitWithAck("history", { channel })).toMatchObject({ offset: 0, publications: [] });
});

test("a retry of an ephemeral publication with its key is answered as the first time, and delivered once", async () => {
  const { clients, call } = await startNode(["alice", "bob"]);
  const [alice, bob] = clients as [Client, Client];
  const say = (data: unknown, idempotencyKey = "k", ephemeral = true) =>
    call("POST", "/v1/publish", { channel, event: "said", data, idempotencyKey, ephemeral });

  const first = await say("typing");
  const again = await say("typing");
  const own = [await publish(alice, { ephemeral: true, idempotencyKey: "k" })];
  own.push(await publish(alice, { ephemeral: true, idempotencyKey: "k" }));
  const others = [await say("other"), await say("typing", "k", false)];
  const stored = [await say("kept", "k2", false), await say("kept", "k2")];
  await say("last", "k3");

  expect([first, again]).toMatchObject([{ status: 200 }, { status: 200 }]);
  expect([first.body, again.body]).toEqual([{ channel }, { channel }]);
  expect(own).toEqual([
    { ok: true, channel },
    { ok: true, channel },
  ]);
  expect(others.map(({ body }) => body.code)).toEqual(["conflict", "conflict"]);
  expect(stored.map(({ body }) => body.code)).toEqual([undefined, "conflict"]);
  await eventually(() =>
    expect(told(bob, "publication").map(({ data }) => data)).toEqual(["typing", {}, "kept", "last"]),
  );
});

test("a kind delivers publications under their own event names, also to a stock client that recovers", async () => {
  const { clients, call } = await startNode(["alice"], "talk:1", { reconnection: true, reconnectionDelay: 1 });
  const [alice] = clients as [Client];
  const messages: unknown[][] = [];
  alice.on("chat message", (...args: unknown[]) => void messages.push(args.slice(0, 2)));
  const say = (data: unknown, more = {}) =>
    call("POST", "/v1/publish", { channel: "talk:1", event: "chat message", data, from: { userId: "bob" }, ...more });
  const { body } = await say("one");
  await say("now", { ephemeral: true });
  await eventually(() => expect(messages).toHaveLength(2));

  alice.io.engine.close();
  const back = new Promise((resolve) => alice.once("ready", resolve));
  await say("two");
  await back;
  expect(alice.recovered).toBe(true);

  const meta = { channel: "talk:1", publishedAt: expect.any(Number), from: { userId: "bob" } };
  const { epoch } = body;
  await eventually(() =>
    expect(messages).toEqual([
      ["one", { ...meta, epoch, offset: 1 }],
      ["now", meta],
      ["two", { ...meta, epoch, offset: 2 }],
    ]),
  );
  const since = await alice.emitWithAck("subscribe", { channel: "talk:1", since: { epoch, offset: 1 } });
  expect(since.publications).toMatchObject([{ event: "chat message", data: "two", offset: 2 }]);
});

test("an event name of Socket.IO or the gateway is refused in kinds that deliver events", async () => {
  const { clients, call } = await startNode(["alice"]);

  for (const event of ["disconnect", "connect_error", "publication", "ready"]) {
    const error = { code: "bad_request", message: expect.stringContaining("event:") };
    expect(await publish(clients[0]!, { channel: "talk:1" }, event)).toMatchObject({ error });
    const answer = await call("POST", "/v1/publish", { channel: "talk:1", event, data: 1 });
    expect(answer).toMatchObject({ status: 400, body: { code: "bad_request", field: "event" } });
    expect(await publish(clients[0]!, {}, event)).toMatchObject({ ok: true });
  }
});

test("a deleted history is recovered by nobody, and subscribers begin anew", async () => {
  const { clients, call } = await startNode(["alice"]);
  const [alice] = clients as [Client];
  const { epoch } = await publish(alice, {});
  await publish(alice, {});

  const path = `/v1/channels/${encodeURIComponent(channel)}/history`;
  expect(await call("DELETE", path)).toMatchObject({ status: 200, body: { removed: 2 } });

  await eventually(() => expect(told(alice, "unsubscribed")).toMatchObject([{ channel, code: "unavailable" }]));
  const again = await alice.emitWithAck("subscribe", { channel, since: { epoch, offset: 1 } });
  expect(again).toMatchObject({ recovered: false, offset: 0, publications: [] });
  expect(again.epoch).not.toBe(epoch);
  expect(await publish(alice, {})).toMatchObject({ epoch: again.epoch, offset: 1 });
  await eventually(() => expect(told(alice, "publication")).toHaveLength(3));
  expect(await call("DELETE", "/v1/channels/nope%3A1/history")).toMatchObject({ status: 404 });
});
