import { describe, expect, test } from "vitest";
import { randomUUID } from "node:crypto";
import { leaseMs } from "../../src/cluster/control-store.ts";
import { createKeys } from "../../src/redis/keys.ts";
import type { Cluster } from "../support/cluster.ts";
import { connectClient, openClient, told, type Client } from "../support/gateway.ts";
import { clientOn, clientsOn, readersOn, subscribe } from "../support/node-clients.ts";
import { within } from "../support/promised.ts";
import { topologies } from "../support/store-lab.ts";
import { useCluster } from "../support/use-cluster.ts";
import { eventually } from "../support/world.ts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe.each(topologies)("three nodes on %s", (topology) => {
  const cluster = useCluster({ topology });

  test("bring what is published on any of them to the readers on all of them, in one order", async () => {
    const readers = await readersOn(cluster().nodes, "lab:order");

    const published = range(1, 60).map((n) => publish(cluster(), n % 3, "lab:order", { n }));
    const answers = await Promise.all(published);

    expect(answers.map(({ offset }) => offset).toSorted((a, b) => a - b)).toEqual(range(1, 60));
    await eventually(() => {
      for (const reader of readers) expect(offsetsTold(reader)).toEqual(range(1, 60));
    });
  });

  test("take a reader up again on another node, where it stood", async () => {
    const [first, second] = await readersOn(cluster().nodes, "lab:recover");
    const { epoch } = await publish(cluster(), 0, "lab:recover", { n: 1 });
    await eventually(() => expect(offsetsTold(first!)).toEqual([1]));
    first!.disconnect();
    for (const n of range(2, 20)) await publish(cluster(), n % 3, "lab:recover", { n });

    const since = { epoch, offset: 1 };
    const answer = await subscribe(second!, "lab:recover", since);
    await publish(cluster(), 2, "lab:recover", { n: 21 });

    expect(answer).toMatchObject({ ok: true, recovered: true });
    expect(answer.publications.map(({ offset }: { offset: number }) => offset)).toEqual(range(2, 20));
    await eventually(() => expect(offsetsTold(second!).at(-1)).toBe(21));
  });

  test("bring ephemeral publications to all of them, and tell all of them of a deleted history", async () => {
    const channel = "lab:clear";
    const readers = await readersOn(cluster().nodes, channel);
    const { call } = cluster().node(0);
    await publish(cluster(), 1, channel, { n: 1 });
    await call("POST", "/v1/publish", { channel, event: "said", data: { n: 2 }, ephemeral: true });
    await eventually(() => {
      for (const reader of readers) expect(told(reader, "publication").map(({ data }) => data.n)).toEqual([1, 2]);
    });

    const { body } = await call("DELETE", `/v1/channels/${encodeURIComponent(channel)}/history`);

    expect(body).toEqual({ removed: 1 });
    await eventually(() => {
      for (const reader of readers)
        expect(told(reader, "unsubscribed")).toMatchObject([{ channel, code: "unavailable" }]);
    });
  });

  test("remember every channel that clients subscribe to while they connect", async () => {
    const channels = range(1, 8).map((n) => `lab:early-${n}`);
    const kept = range(0, 8).map(async (n) => {
      const node = cluster().node(n % 3);
      const client = openClient(node.url, (await node.signIn(`early-${n}`)).token);
      await new Promise<void>((resolve) => client.once("connect", () => resolve()));
      const answers = await Promise.all(channels.map((channel) => client.emitWithAck("subscribe", { channel })));
      expect(answers.filter(({ ok }) => !ok)).toEqual([]);
      const fields = async () => cluster().redis().hkeys(recordOf(client, cluster()));
      const whole = ["holder", ...channels.map((channel) => `c:${channel}`)];
      await eventually(async () => expect(await fields()).toEqual(expect.arrayContaining(whole)));
    });
    await Promise.all(kept);
  });

  test("give a reader that is cut off and comes back to another node each publication once", async () => {
    const channels = ["lab:cut-1", "lab:cut-2", "lab:cut-3", "lab:cut-4"];
    const reader = await clientOn(cluster().node(0), "cut-off");
    for (const channel of channels) await subscribe(reader, channel);
    const publishAll = () =>
      Promise.all(channels.flatMap((name) => [0, 1].map((n) => publish(cluster(), n, name, {}))));
    await publishAll();

    for (const round of range(1, 4)) {
      const publishing = publishAll();
      await cutOff(reader, cluster());
      await Promise.all([publishing, publishAll()]);
      const back = new Promise<void>((resolve) => reader.once("ready", () => resolve()));
      Object.assign(reader.io, { uri: cluster().node(round % 3).url });
      await back;
      expect(reader.recovered).toBe(true);
    }

    const total = channels.map((channel) => [channel, range(1, 18)]);
    await eventually(() => expect(channels.map((channel) => [channel, offsetsOf(reader, channel)])).toEqual(total));
  });

  test("keep one publication where it is sent to all of them at once", async () => {
    const body = { channel: "lab:once", event: "e", data: {}, idempotencyKey: "the-one" };
    const answers = await Promise.all(
      range(1, 30).map((n) =>
        cluster()
          .node(n % 3)
          .call("POST", "/v1/publish", body),
      ),
    );

    expect(new Set(answers.map(({ body }) => body.offset))).toEqual(new Set([1]));
    expect(answers.filter(({ body }) => !body.duplicate)).toHaveLength(1);
  });

  test("log a session out everywhere before they answer", () =>
    within(leaseMs, async () => {
      const { sessionId, token } = await cluster().node(0).signIn("ada");
      const other = await cluster().node(1).signIn("ada");
      const sockets = await Promise.all(range(0, 8).map((n) => connectClient(cluster().node(n % 3).url, token)));
      const stays = await connectClient(cluster().node(2).url, other.token);

      const { status, body } = await cluster().node(1).call("DELETE", `/v1/sessions/${sessionId}`);

      expect({ status, body }).toEqual({
        status: 200,
        body: { revoked: 1, disconnected: 9, nodes: 3, acknowledged: 3 },
      });
      await eventually(() => sockets.forEach((socket) => expect(socket.connected).toBe(false)));
      for (const socket of sockets) expect(told(socket, "closing")).toMatchObject([{ code: "session_revoked" }]);
      expect(stays.connected).toBe(true);
      await expect(connectClient(cluster().node(2).url, token)).rejects.toMatchObject({
        message: expect.stringMatching(/_revoked|_expired/),
      });
    }));

  test("erase everything kept of a user, everywhere before they answer", () =>
    within(leaseMs, async () => {
      const { call, signIn } = cluster().node(1);
      const id = randomUUID();
      const [user, channel, own, other] = [`mallory-${id}`, `chat:erased-${id}`, `own-${id}`, `other-${id}`];
      const logins = await Promise.all([0, 1, 2].map((n) => cluster().node(n).signIn(user)));
      const sockets = await Promise.all(logins.map(({ token }, n) => connectClient(cluster().node(n).url, token)));
      for (const socket of sockets) await subscribe(socket, channel);
      await call("POST", "/v1/publish", { channel: `user:${user}`, event: "hello", data: 1 });
      await call("POST", "/v1/publish", { channel: `user:${user}`, event: "hello", data: 1, delayMs: 60_000 });
      await call("POST", "/v1/orders", { orderId: own, parties: { customer: user } });
      await call("POST", "/v1/orders", { orderId: other, parties: { customer: "trent", courier: user } });

      const { status, body } = await call("DELETE", `/v1/users/${user}`);

      expect({ status, body }).toMatchObject({
        status: 200,
        body: { nodes: 3, acknowledged: 3, removed: { sessions: 3, presence: 3, orders: 1, parties: 1, scheduled: 1 } },
      });
      expect(body.removed.publications).toBeGreaterThan(0);
      await eventually(() => sockets.forEach((socket) => expect(socket.connected).toBe(false)));
      expect((await call("GET", `/v1/channels/${channel}/presence`)).body.members).toEqual([]);
      expect((await cluster().node(2).call("GET", `/v1/users/${user}`)).body).toMatchObject({
        sessions: [],
        orders: [],
      });
      expect((await call("GET", `/v1/orders/${other}`)).body.order.parties).toEqual({ customer: "trent" });
      const again = await connectClient(cluster().node(0).url, (await signIn(user)).token);
      expect(await subscribe(again, `orders:${user}`)).toMatchObject({ ok: true, offset: 0, snapshot: { orders: [] } });
    }));

  test("end every login of a user, and a single token", () =>
    within(leaseMs, async () => {
      const eve = `eve-${randomUUID()}`;
      const [one, two] = await Promise.all([cluster().node(0).signIn(eve), cluster().node(1).signIn(eve)]);
      const lone = await cluster().node(2).signIn("bob");
      await Promise.all([one, two].map(({ token }, n) => connectClient(cluster().node(n).url, token)));
      await connectClient(cluster().node(2).url, lone.token);

      const users = await cluster().node(2).call("DELETE", `/v1/users/${eve}/sessions`);
      const tokens = await cluster().node(0).call("POST", "/v1/tokens/revoke", { token: lone.token });

      expect(users.body).toMatchObject({ disconnected: 2, nodes: 3, acknowledged: 3 });
      expect(tokens.body).toMatchObject({ disconnected: 1, nodes: 3, acknowledged: 3 });
    }));

  test("show one leaderboard, whose diffs add up to its top", async () => {
    const [reader] = await clientsOn(cluster().nodes, "board");
    const snapshot = (await subscribe(reader!, "leaderboard:race")).snapshot;
    expect(snapshot.entries).toEqual([]);

    for (const n of range(1, 15)) {
      await cluster()
        .node(n % 3)
        .call("PUT", `/v1/leaderboards/race/scores/m${n % 5}`, { score: n, mode: "last" });
    }

    const top = [14, 13, 12, 11, 15].map((score) => [`m${score % 5}`, score] as const).toSorted((a, b) => b[1] - a[1]);
    await eventually(() => expect(boardOf(reader!)).toEqual(top));
  });

  test("count one user's messages over all of them", async () => {
    const clients = await clientsOn(cluster().nodes, "hasty", "same-user");
    const asked = range(1, 60).map((n) => clients[n % 3]!.emitWithAck("history", { channel: "lab:order", limit: 1 }));

    const refused = (await Promise.all(asked)).filter(({ ok }) => !ok);

    expect(refused.length).toBeGreaterThan(20);
    for (const { error } of refused)
      expect(error).toMatchObject({ code: "rate_limited", retryAfterMs: expect.any(Number) });
  });

  test("follow an order whose events come through different nodes and doors", async () => {
    const [reader] = await clientsOn(cluster().nodes, "customer");
    const order = { orderId: "o-1", parties: { customer: "customer-0" } };
    expect((await cluster().node(1).call("POST", "/v1/orders", order)).status).toBe(201);
    await subscribe(reader!, "order:o-1");

    await cluster().node(2).call("POST", "/v1/orders/o-1/events", { status: "confirmed", sequence: 1 });
    const command = JSON.stringify({ type: "order.event", orderId: "o-1", status: "cancelled", sequence: 2 });
    await cluster().redis().xadd(createKeys(cluster().prefix).commands(), "*", "command", command);

    await eventually(() => {
      const statuses = told(reader!, "publication").filter(({ channel }) => channel === "order:o-1");
      expect(statuses.map(({ data }) => data.status)).toEqual(["confirmed", "cancelled"]);
    });
  });

  test("agree on who is in a channel", async () => {
    const clients = await readersOn(cluster().nodes, "chat:hall");

    await eventually(async () => {
      for (const client of clients) {
        const { ok, count } = await client.emitWithAck("presence", { channel: "chat:hall" });
        expect({ ok, count }).toEqual({ ok: true, count: 3 });
      }
    });
  });

  test("bring what the feed lost, although nothing follows it", async () => {
    const readers = await readersOn(cluster().nodes, "lab:quiet");
    await publish(cluster(), 0, "lab:quiet", { n: 1 });
    await eventually(() => readers.forEach((reader) => expect(offsetsTold(reader)).toEqual([1])));

    const killed = cluster().store.servers.map((server) => server.ask("CLIENT", "KILL", "TYPE", "pubsub"));
    await Promise.all([...killed, publish(cluster(), 1, "lab:quiet", { n: 2 })]);

    await eventually(() => readers.forEach((reader) => expect(offsetsTold(reader)).toEqual([1, 2])));
  });
});

async function publish(cluster: Cluster, index: number, channel: string, data: object) {
  const { status, body } = await cluster.node(index).call("POST", "/v1/publish", { channel, event: "e", data });
  expect(status).toBe(200);
  return body as { epoch: string; offset: number };
}

/** Cuts the client off, and waits until its node has noticed. */
async function cutOff(client: Client, cluster: Cluster): Promise<void> {
  Object.assign(client.io, { uri: "http://127.0.0.1:1" });
  client.io.engine.close();
  await eventually(async () => expect(await cluster.redis().hget(recordOf(client, cluster), "owner")).toBe(""));
}

/** The key of the record with which the client can be recovered. */
function recordOf(client: Client, cluster: Cluster): string {
  const { _pid: privateId } = client as unknown as { _pid: string };
  return createKeys(cluster.prefix).recoveryRecord(privateId);
}

const offsetsOf = (client: Client, channel: string): number[] =>
  told(client, "publication")
    .filter((publication) => publication.channel === channel)
    .map(({ offset }) => offset);

const offsetsTold = (client: Client): number[] => told(client, "publication").map(({ offset }) => offset);

/** What a reader sees that applied every diff to an empty board. */
function boardOf(client: Client): (readonly [string, number])[] {
  const scores = new Map<string, { rank: number; score: number }>();
  for (const { event, data } of told(client, "publication")) {
    if (event !== "leaderboard.diff") continue;
    for (const member of data.removed) scores.delete(member);
    for (const { member, rank, score } of data.changes) scores.set(member, { rank, score });
  }
  return [...scores].toSorted((a, b) => a[1].rank - b[1].rank).map(([member, { score }]) => [member, score] as const);
}
