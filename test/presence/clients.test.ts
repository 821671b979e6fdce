import { describe, expect, test } from "vitest";
import { connectClient, openClient, startGateway, told, type Client, type TestGateway } from "../support/gateway.ts";
import { timed } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import type { Member, MembersDiff } from "../../src/presence/members-replica.ts";
import { replay, toRecord } from "./presence-node.ts";

const limits = {
  messages: { capacity: 100_000, refillPerSecond: 100_000 },
  handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
};

async function startGateways(count = 3, file: object = {}): Promise<TestGateway[]> {
  const prefix = freshPrefix();
  const channels = {
    chat: { subscribe: "public", presence: true },
    team: { subscribe: "granted", presence: true },
    news: { subscribe: "public" },
  };
  return Promise.all(
    Array.from({ length: count }, () => startGateway({ prefix, file: { channels, limits, ...file } })),
  );
}

async function subscribed(gateway: TestGateway, user: string, channel: string): Promise<Client> {
  const client = await gateway.connect((await gateway.signIn(user)).token);
  expect(await client.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });
  return client;
}

const membersOf = async (client: Client, channel: string): Promise<Record<string, number>> =>
  toRecord((await client.emitWithAck("presence", { channel })).members);

/** A node's closed connections are said goodbye to a moment later. */
async function emptied(gateway: TestGateway, channel: string): Promise<void> {
  await eventually(async () => {
    const { body } = await gateway.call("GET", `/v1/channels/${channel}/presence`);
    expect(body).toEqual({ channel, members: [], count: 0 });
    expect((await gateway.call("GET", "/v1/channels?prefix=chat")).body).toEqual({ channels: [] });
  });
}

describe("presence over three nodes", () => {
  test("whoever was answered a subscription is seen by everybody at once", async () => {
    const gateways = await startGateways();
    const users = ["ada", "bob", "ada"];
    for (const [index, user] of users.entries()) await subscribed(gateways[index]!, user, "chat:lobby");
    const last = await subscribed(gateways[0]!, "cem", "chat:lobby");

    const expected = { ada: 2, bob: 1, cem: 1 };
    expect(await membersOf(last, "chat:lobby")).toEqual(expected);
    for (const { call } of gateways) {
      const { status, body } = await call("GET", "/v1/channels/chat%3Alobby/presence");
      expect({ status, members: toRecord(body.members), count: body.count }).toEqual({
        status: 200,
        members: expected,
        count: 3,
      });
      const listed = await call("GET", "/v1/channels?prefix=chat:");
      expect(listed.body).toEqual({ channels: [{ channel: "chat:lobby", subscribers: 4 }] });
    }
  });

  // Who takes three seconds to come back has left.
  test("a member that is cut off and back at once was never gone; one that stays away has left", timed, async () => {
    const [here] = await startGateways(1);
    const watcher = await subscribed(here!, "ada", "chat:lobby");
    const { token } = await here!.signIn("bob");
    const member = await connectClient(here!.url, token, { reconnection: true, reconnectionDelay: 5 });
    await member.emitWithAck("subscribe", { channel: "chat:lobby" });
    const timesOf = (list: "joined" | "left"): number =>
      told(watcher, "presence").flatMap((change) => change[list].filter(({ userId }: Member) => userId === "bob"))
        .length;
    await eventually(() => expect(timesOf("joined")).toBe(1));

    member.io.engine.close();
    await eventually(() => expect(told(member, "ready")).toMatchObject([{}, { recovered: true }]));
    expect(await membersOf(watcher, "chat:lobby")).toEqual({ ada: 1, bob: 1 });
    Object.assign(member.io, { uri: "http://127.0.0.1:1" });
    member.io.engine.close();

    await eventually(() => expect(timesOf("left")).toBe(1));
    expect(timesOf("joined")).toBe(1);
  });

  test(
    "a member that is cut off and back at once on another node was never gone, and is not one more",
    timed,
    async () => {
      const [here, there] = await startGateways(2);
      const watchers = [await subscribed(here!, "ada", "chat:lobby"), await subscribed(there!, "cem", "chat:lobby")];
      const { token } = await here!.signIn("bob");
      const member = await connectClient(here!.url, token, { reconnection: true, reconnectionDelay: 5 });
      await member.emitWithAck("subscribe", { channel: "chat:lobby" });
      const toldOfBob = (watcher: Client) =>
        told(watcher, "presence").flatMap(({ joined, left, updated }) =>
          [...joined, ...left, ...updated].flatMap(({ userId, connections }: Member) =>
            userId === "bob" ? [connections] : [],
          ),
        );
      await eventually(() => expect(watchers.map(toldOfBob)).toEqual([[1], [1]]));

      Object.assign(member.io, { uri: there!.url });
      member.io.engine.close();
      await eventually(() => expect(told(member, "ready")).toMatchObject([{}, { recovered: true }]));
      expect(await Promise.all(watchers.map((watcher) => membersOf(watcher, "chat:lobby")))).toEqual(
        watchers.map(() => ({ ada: 1, bob: 1, cem: 1 })),
      );
      member.disconnect();

      await eventually(() => expect(watchers.map((watcher) => toldOfBob(watcher).at(-1))).toEqual([0, 0]));
      expect(watchers.map(toldOfBob)).toEqual([
        [1, 0],
        [1, 0],
      ]);
    },
  );

  test("what another node says is never behind the answer to a subscription", async () => {
    const gateways = await startGateways(2);
    const [subscriber, asker] = [
      await gateways[0]!.connect((await gateways[0]!.signIn("ada")).token),
      await gateways[1]!.connect((await gateways[1]!.signIn("bob")).token),
    ];
    for (let round = 0; round < 100; round++) {
      const channel = `chat:${round}`;
      await subscriber.emitWithAck("subscribe", { channel });
      expect(await membersOf(asker, channel)).toEqual({ ada: 1 });
      await subscriber.emitWithAck("unsubscribe", { channel });
    }
  });

  test("a client that is answered once and told the rest knows the members, however they come and go", async () => {
    const random = seeded(11);
    const gateways = await startGateways();
    const watcher = await subscribed(gateways[0]!, "watcher", "chat:lobby");
    const state = await membersOf(watcher, "chat:lobby");
    const before = told(watcher, "presence").length;
    const tokens = await Promise.all(
      ["ada", "bob", "cem"].map(async (user) => (await gateways[0]!.signIn(user)).token),
    );
    const present: Client[] = [];
    const all: Client[] = [];
    for (let step = 0; step < 120; step++) {
      if (random() < 0.5 || present.length === 0) {
        const client = openClient(gateways[step % 3]!.url, tokens[Math.floor(random() * 3)] as string);
        client.once("ready", () => client.emit("subscribe", { channel: "chat:lobby" }));
        present.push(client);
        all.push(client);
      } else {
        const [client] = present.splice(Math.floor(random() * present.length), 1) as [Client];
        const how = Math.floor(random() * 3);
        if (how === 0) client.disconnect();
        else if (how === 1) client.io.engine.close();
        else if (client.connected) client.emit("unsubscribe", { channel: "chat:lobby" });
      }
      await new Promise((resolve) => setTimeout(resolve, random() * 10));
    }

    await eventually(async () => {
      const members = await membersOf(watcher, "chat:lobby");
      expect(replay(state, told<MembersDiff>(watcher, "presence").slice(before))).toEqual(members);
      for (const { call } of gateways) {
        expect(toRecord((await call("GET", "/v1/channels/chat%3Alobby/presence")).body.members)).toEqual(members);
      }
    });
    for (const client of all) client.disconnect();
    await eventually(async () => expect(await membersOf(watcher, "chat:lobby")).toEqual({ watcher: 1 }));
  });

  test("is refused by name where there is none, or it is not for the client", async () => {
    const [gateway] = (await startGateways(1)) as [TestGateway];
    const client = await gateway.connect((await gateway.signIn("ada", { channels: { subscribe: ["team:a"] } })).token);

    for (const [channel, code] of [
      ["news:a", "forbidden"],
      ["team:b", "forbidden"],
      ["user:bob", "forbidden"],
      ["nope:a", "unknown_channel"],
    ]) {
      // prettier-ignore
      expect(await client.emitWithAck("presence", { channel })).toMatchObject({ ok: false, error: { code } });
    }
    expect(await client.emitWithAck("presence", { channel: "team:a" })).toMatchObject({ ok: true, count: 0 });
    expect(await client.emitWithAck("presence", {})).toMatchObject({ ok: false, error: { code: "bad_request" } });
    expect((await gateway.call("GET", "/v1/channels/news%3Aa/presence")).body).toMatchObject({
      status: 403,
      code: "forbidden",
      detail: "Presence is not enabled for channels of this kind.",
    });
    expect((await gateway.call("GET", "/v1/channels/nope%3Aa/presence")).status).toBe(404);
  });

  test("ends with the node that is drained", async () => {
    const [leaving, staying] = (await startGateways(2)) as [TestGateway, TestGateway];
    await subscribed(leaving, "ada", "chat:lobby");
    const watcher = await subscribed(staying, "bob", "chat:lobby");

    await leaving.gateway.drain();

    expect(await membersOf(watcher, "chat:lobby")).toEqual({ bob: 1 });
  });
});

describe("no ghosts", () => {
  test("those who leave while they subscribe are neither members nor counted", { timeout: 300_000 }, async () => {
    const rounds = Number(process.env["GHOST_ROUNDS"] ?? 50);
    const random = seeded(5);
    const gateways = await startGateways();
    const { token } = await gateways[0]!.signIn("ada");
    for (let round = 0; round < rounds; round++) {
      const clients = await Promise.all(
        Array.from({ length: 20 }, (_, n) => connectClient(gateways[n % 3]!.url, token)),
      );
      for (const client of clients) {
        client.emit("subscribe", { channel: `chat:${round % 3}` });
        const how = Math.floor(random() * 3);
        if (how === 0) client.disconnect();
        else if (how === 1) client.io.engine.close();
        else setTimeout(() => client.disconnect(), random() * 3);
      }
      await eventually(() => expect(clients.some(({ connected }) => connected)).toBe(false));
      await eventually(async () => expect((await gateways[0]!.call("GET", "/v1/users/ada/sessions")).body.sessions[0].connections).toBe(0)); // prettier-ignore
    }

    for (let n = 0; n < 3; n++) await emptied(gateways[n]!, `chat:${n}`);
  });

  test("handshakes that are given up at any moment leave no connection of the user", { timeout: 120_000 }, async () => {
    const random = seeded(6);
    const gateways = await startGateways(2);
    const { token } = await gateways[0]!.signIn("ada");
    for (const transport of ["websocket", "polling"] as const) {
      for (let n = 0; n < 150; n++) {
        const client = openClient(gateways[n % 2]!.url, token, { transports: [transport] });
        await new Promise((resolve) => setTimeout(resolve, random() * 12));
        client.disconnect();
        client.io.engine?.close();
      }
    }

    for (const { call } of gateways) {
      await eventually(async () => {
        expect((await call("GET", "/v1/users/ada/sessions")).body.sessions).toMatchObject([{ connections: 0 }]);
      });
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 25 }, (_, n) => connectClient(gateways[n % 2]!.url, token))); // prettier-ignore
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(20);
  });

  test("a handshake that is refused for its session takes none of the user's connections", async () => {
    const [gateway] = (await startGateways(1, { limits: { ...limits, connectionsPerUser: 1 } })) as [TestGateway];
    const [gone, good] = [await gateway.signIn("ada"), await gateway.signIn("ada")];
    await gateway.call("DELETE", `/v1/sessions/${gone.sessionId}`);

    for (let n = 0; n < 10; n++) {
      await expect(gateway.connect(gone.token)).rejects.toMatchObject({ message: "session_expired" });
    }

    await eventually(async () => expect((await gateway.connect(good.token)).connected).toBe(true));
  });
});

describe("connections of one user", () => {
  test("are capped over three nodes, whatever races", { timeout: 120_000 }, async () => {
    const gateways = await startGateways();
    const sessions = await Promise.all([1, 2, 3].map(() => gateways[0]!.signIn("ada")));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) => connectClient(gateways[n % 3]!.url, sessions[(n * 7) % 3]!.token)),
    );

    const accepted = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    const refusals = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
    expect(accepted).toHaveLength(20);
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ message: "connection_limit", data: { code: "connection_limit" } });
    }
    const listed = (await gateways[1]!.call("GET", "/v1/users/ada/sessions")).body.sessions as {
      connections: number;
    }[];
    expect(listed.reduce((sum, { connections }) => sum + connections, 0)).toBe(20);

    accepted[0]?.disconnect();
    await eventually(async () =>
      expect((await connectClient(gateways[2]!.url, sessions[0]!.token)).connected).toBe(true),
    );
    await expect(connectClient(gateways[0]!.url, sessions[0]!.token)).rejects.toMatchObject({
      message: "connection_limit",
    });
    await expect(connectClient(gateways[0]!.url, (await gateways[0]!.signIn("bob")).token)).resolves.toBeDefined();
  });

  test("are told by session, over all nodes, to the user and to backends", async () => {
    const gateways = await startGateways();
    const [tv, phone] = [await gateways[0]!.signIn("ada"), await gateways[1]!.signIn("ada")];
    const clients = await Promise.all([
      connectClient(gateways[0]!.url, tv.token),
      connectClient(gateways[1]!.url, tv.token),
      connectClient(gateways[2]!.url, phone.token),
    ]);

    const expected = { [tv.sessionId]: 2, [phone.sessionId]: 1 };
    const bySession = (sessions: { sessionId: string; connections: number }[]) =>
      Object.fromEntries(sessions.map(({ sessionId, connections }) => [sessionId, connections]));
    expect(bySession((await clients[0].emitWithAck("sessions:list", {})).sessions)).toEqual(expected);
    for (const { call } of gateways) {
      expect(bySession((await call("GET", "/v1/users/ada/sessions")).body.sessions)).toEqual(expected);
    }
  });
});
