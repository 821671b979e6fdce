import { describe, expect, test } from "vitest";
import { MembersReplica } from "../../src/presence/members-replica.ts";
import type { MembersChange } from "../../src/presence/members-change.ts";
import { connectClient, startGateway, told, type Client, type TestGateway } from "../support/gateway.ts";
import { timed } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const file = {
  channels: {
    chat: { subscribe: "public", presence: true },
    news: { subscribe: "public" },
  },
};

async function startPair(): Promise<[TestGateway, TestGateway]> {
  const prefix = freshPrefix();
  return [await startGateway({ prefix, file }), await startGateway({ prefix, file })];
}

async function member(gateway: TestGateway, user: string, more: object = {}): Promise<Client> {
  const client = await gateway.connect((await gateway.signIn(user, more)).token);
  expect(await client.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });
  return client;
}

const setData = (client: Client, data: unknown, name = channel) =>
  client.emitWithAck("presence:set", { channel: name, data });
const membersOf = async (client: Client) => (await client.emitWithAck("presence", { channel })).members;
const updates = (client: Client) => told(client, "presence").flatMap(({ updated }) => updated);
/** Before that, whatever else happens to the member is told as part of its joining. */
const seenJoining = (client: Client, userId: string, more: object = {}) =>
  eventually(() =>
    expect(told(client, "presence").flatMap(({ joined }) => joined)).toContainEqual(
      expect.objectContaining({ userId, ...more }),
    ),
  );

describe("data of a member", () => {
  test("is told as updated on every node, with the public part of the session, and in every later answer", async () => {
    const [here, there] = await startPair();
    const watcher = await member(there, "bob");
    const ada = await member(here, "ada", { info: { name: "Ada" } });
    await seenJoining(watcher, "ada", { info: { name: "Ada" } });

    expect(await setData(ada, { typing: true })).toEqual({ ok: true, channel });

    const shown = { userId: "ada", connections: 1, info: { name: "Ada" }, data: { typing: true } };
    expect(await membersOf(watcher)).toEqual([shown, { userId: "bob", connections: 1 }]);
    await eventually(() => expect(updates(watcher)).toEqual([shown]));
    expect((await there.call("GET", "/v1/channels/chat:lobby/presence")).body.members[0]).toEqual(shown);
    await setData(ada, null);
    await eventually(() =>
      expect(updates(watcher)[1]).toEqual({ userId: "ada", connections: 1, info: { name: "Ada" } }),
    );
  });

  test("is told as updated also if it was set at once after the subscription", async () => {
    const [here, there] = await startPair();
    const watcher = await member(there, "bob");
    const ada = await member(here, "ada");

    await setData(ada, { typing: true });

    const shown = { userId: "ada", connections: 1, data: { typing: true } };
    await eventually(() => expect(updates(watcher)).toEqual([shown]));
    expect(told(watcher, "presence").filter(({ joined }) => joined.some((m: any) => m.userId === "ada"))).toHaveLength(
      1,
    );
  });

  test("has the public part of the session as a backend changed it, on every node once the call returns", async () => {
    const [here, there] = await startPair();
    const watcher = await member(there, "bob");
    const { token, sessionId } = await here.signIn("ada", { info: { name: "Ada" } });
    const ada = await here.connect(token);
    await ada.emitWithAck("subscribe", { channel });
    await setData(ada, 1);
    await seenJoining(watcher, "ada");
    const patch = (change: object) => there.call("PATCH", `/v1/sessions/${sessionId}`, change);

    await patch({ info: { name: "Countess" } });

    const shown = { userId: "ada", connections: 1, info: { name: "Countess" }, data: 1 };
    expect((await membersOf(watcher))[0]).toEqual(shown);
    await eventually(() => expect(updates(watcher).at(-1)).toEqual(shown));
    const before = updates(watcher).length;
    await patch({ roles: ["staff"] });
    await patch({ info: { name: "Lovelace" } });
    await eventually(() => expect(updates(watcher).at(-1)?.info).toEqual({ name: "Lovelace" }));
    expect(updates(watcher)).toHaveLength(before + 1);
  });

  test("is what a connection set last, and gone with it", async () => {
    const [here, there] = await startPair();
    const watcher = await member(here, "bob");
    const [first, second] = [await member(here, "ada"), await member(there, "ada")];
    await setData(first, 1);
    await setData(second, 2);
    expect(await membersOf(watcher)).toMatchObject([{ userId: "ada", connections: 2, data: 2 }, {}]);
    await setData(first, 3);
    expect(await membersOf(watcher)).toMatchObject([{ userId: "ada", connections: 2, data: 3 }, {}]);

    // Who joins and leaves within one event is not told.
    await seenJoining(watcher, "ada");
    first.disconnect();
    await eventually(async () => expect(await membersOf(watcher)).toMatchObject([{ connections: 1, data: 2 }, {}]));
    await second.emitWithAck("unsubscribe", { channel });

    await eventually(() => expect(told(watcher, "presence").at(-1)?.left).toEqual([{ userId: "ada", connections: 0 }]));
  });

  test(
    "is gone at once with a connection that is cut; the member stays, and may set it again when it is back",
    timed,
    async () => {
      const [here, there] = await startPair();
      const watcher = await member(here, "bob");
      const { token } = await here.signIn("ada", { info: { name: "Ada" } });
      const ada = await connectClient(here.url, token, { reconnection: true, reconnectionDelay: 5 });
      await ada.emitWithAck("subscribe", { channel });
      await seenJoining(watcher, "ada");
      await setData(ada, 1);
      await eventually(() => expect(updates(watcher)).toHaveLength(1));

      Object.assign(ada.io, { uri: there.url });
      ada.io.engine.close();
      await eventually(() => expect(told(ada, "ready")).toMatchObject([{}, { recovered: true }]));
      const kept = { userId: "ada", connections: 1, info: { name: "Ada" } };
      await eventually(() => expect(updates(watcher).at(-1)).toEqual(kept));
      await setData(ada, 2);
      await eventually(() => expect(updates(watcher).at(-1)).toEqual({ ...kept, data: 2 }));

      expect(told(watcher, "presence").flatMap(({ left }) => left)).toEqual([]);
    },
  );

  test("is refused where there is no presence, from others than members, and beyond 1 KiB", async () => {
    const [gateway] = await startPair();
    const client = await member(gateway, "ada");
    const refused = (code: string) => ({ ok: false, error: { code } });

    expect(await setData(client, 1, "chat:other")).toMatchObject(refused("not_subscribed"));
    await client.emitWithAck("subscribe", { channel: "news:today" });
    expect(await setData(client, 1, "news:today")).toMatchObject(refused("forbidden"));
    expect(await setData(client, "x".repeat(1_023))).toMatchObject(refused("payload_too_large"));
    expect(await setData(client, "x".repeat(1_022))).toMatchObject({ ok: true });
    expect(await client.emitWithAck("presence:set", { channel })).toMatchObject(refused("bad_request"));
  });
});

test("all nodes show the same of a user whose nodes show different data, in whichever order they heard of it", () => {
  const changes: MembersChange[] = ["n1", "n2", "n3"].map((node, index) => ({
    revision: index + 1,
    before: index,
    node,
    counts: new Map([["ada", 1]]),
    details: new Map([["ada", { data: node, at: index === 1 ? 7 : 5 }]]),
    isWhole: false,
    formerNode: undefined,
  }));
  const one = new MembersReplica();
  for (const change of changes) one.apply(change);
  const other = new MembersReplica();
  const details = new Map(changes.toReversed().map(({ node, details: ofNode = new Map() }) => [node, ofNode]));
  other.replace({ revision: 3, since: 0, nodes: new Map(changes.map(({ node, counts }) => [node, counts])), details });

  expect(one.members(10)).toEqual([{ userId: "ada", connections: 3, data: "n2" }]);
  expect(other.members(10)).toEqual(one.members(10));
  one.takeDiff();
  one.drop("n2");
  expect(one.takeDiff()).toMatchObject({ updated: [{ userId: "ada", connections: 2, data: "n1" }] });
});
