import { describe, expect, test } from "vitest";
import { promised, timed } from "../support/promised.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { replay, startPresenceNode, type PresenceNode } from "./presence-node.ts";

async function startNodes(count: number): Promise<PresenceNode[]> {
  const prefix = freshPrefix();
  return Promise.all(Array.from({ length: count }, () => startPresenceNode({ prefix })));
}

const users = (diffs: readonly { userId: string }[] | undefined): string[] => (diffs ?? []).map(({ userId }) => userId);

describe("members of a channel", () => {
  test("are the same on every node as soon as a subscription has settled", async () => {
    const nodes = await startNodes(3);

    for (let round = 0; round < 20; round++) {
      const channel = `chat:${round}`;
      for (const [index, node] of nodes.entries()) {
        node.subscribe(`user-${index}`, channel);
        node.subscribe("everywhere", channel);
        await node.presence.members.synced(channel);
      }
      const asked = nodes.map((node) => node.members(channel));

      const expected = { "user-0": 1, "user-1": 1, "user-2": 1, everywhere: 3 };
      expect(await Promise.all(asked)).toEqual([expected, expected, expected]);
    }
  });

  test("are the same on a node that hears of them late", async () => {
    const prefix = freshPrefix();
    const first = await startPresenceNode({ prefix });
    const late = await startPresenceNode({ prefix, hear: (hear) => void setTimeout(hear, 60) });
    late.subscribe("bob", "chat:a");
    await late.presence.members.synced("chat:a");

    for (let n = 1; n <= 10; n++) {
      first.subscribe("ada", "chat:a");
      await first.presence.members.synced("chat:a");

      expect(await late.members("chat:a")).toEqual({ ada: n, bob: 1 });
    }
  });

  test("joins, leaves and other tabs are told to the subscribers of every node", async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    first.subscribe("ada", "chat:a");
    await first.presence.members.synced("chat:a");
    const told = () => (first.told.get("chat:a") ?? []).filter(({ joined }) => !users(joined).includes("ada"));

    const leaves = [second.subscribe("bob", "chat:a")];
    await eventually(() => expect(told()).toMatchObject([{ joined: [{ userId: "bob", connections: 1 }] }]));
    leaves.push(first.subscribe("bob", "chat:a"));
    await eventually(() => expect(told()[1]).toMatchObject({ updated: [{ userId: "bob", connections: 2 }] }));
    for (const leave of leaves) leave();
    await eventually(() => expect(users(told().at(-1)?.left)).toEqual(["bob"]));

    expect(await first.members("chat:a")).toEqual({ ada: 1 });
  });

  test("who was answered a subscription is told of whoever comes after, with no further question", async () => {
    const nodes = await startNodes(2);
    for (let round = 0; round < 30; round++) {
      const channel = `chat:${round}`;
      nodes[0]!.subscribe("ada", channel);
      await nodes[0]!.presence.members.synced(channel);
      nodes[1]!.subscribe("bob", channel);

      await eventually(() => {
        const joined = (nodes[0]!.told.get(channel) ?? []).flatMap((diff) => users(diff.joined));
        expect(joined).toContain("bob");
      });
    }
  });

  test("a channel that emptied and was forgotten begins again above where it was", async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    const { commands, keys } = first;
    first.subscribe("ada", "chat:a")();
    await first.presence.members.synced("chat:a");
    const before = Number(await commands.hget(keys.channelMembers("chat:a"), ""));
    expect(await commands.ttl(keys.channelMembers("chat:a"))).toBeLessThanOrEqual(60);
    expect(await second.members("chat:a")).toEqual({});
    await commands.del(keys.channelMembers("chat:a"));

    first.subscribe("bob", "chat:a");

    expect(await first.members("chat:a")).toEqual({ bob: 1 });
    expect(await second.members("chat:a")).toEqual({ bob: 1 });
    expect(Number(await commands.hget(keys.channelMembers("chat:a"), ""))).toBeGreaterThan(before);
  });

  test("nothing is kept for kinds without presence, and nobody is told of them", async () => {
    const [node] = (await startNodes(1)) as [PresenceNode];
    node.subscribe("ada", "news:a");
    await node.presence.members.synced("news:a");

    await expect(node.presence.members.of("news:a")).rejects.toMatchObject({ code: "forbidden", field: "channel" });
    await expect(node.presence.members.of("nope:a")).rejects.toMatchObject({ code: "unknown_channel" });
    expect(await node.commands.exists(node.keys.channelMembers("news:a"))).toBe(0);
  });

  test("a client must be allowed to subscribe to see them", async () => {
    const [node] = (await startNodes(1)) as [PresenceNode];
    const reader = (subscribe: string[]) => ({ userId: "ada", channels: { subscribe, publish: [] } });

    await expect(node.presence.members.ofAs(reader(["team:b"]), "team:a")).rejects.toMatchObject({ code: "forbidden" });
    expect(await node.presence.members.ofAs(reader(["team:*"]), "team:a")).toMatchObject({ members: [], count: 0 });
  });

  test("a thousand are listed and all are counted", async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    for (let n = 0; n < 1_500; n++) first.subscribe(`user-${n}`, "chat:a");

    const { members, count } = await second.presence.members.of("chat:a").then(async () => {
      await first.presence.members.synced("chat:a");
      return second.presence.members.of("chat:a");
    });

    expect({ listed: members.length, count }).toEqual({ listed: 1_000, count: 1_500 });
  });

  test("names that mean something elsewhere are names like others", async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    const names = ["__proto__", "constructor", "*", "{a}", "a|b", "n1:", '"', "é", "🦆", "0"];
    for (const name of names) first.subscribe(name, "chat:{*}:x");
    await first.presence.members.synced("chat:{*}:x");

    const { members } = await second.presence.members.of("chat:{*}:x");

    expect(users(members).toSorted()).toEqual(names.toSorted());
  });
});

describe("members of a node that is gone", () => {
  test(
    "are gone from every other within three seconds, told and asked, and stay gone",
    { timeout: 120_000, ...timed },
    async () => {
      const [first, second, third] = (await startNodes(3)) as [PresenceNode, PresenceNode, PresenceNode];
      for (const [user, node] of [["ada", first], ["bob", second], ["cem", third], ["bob", first]] as const) node.subscribe(user, "chat:a"); // prettier-ignore
      for (const node of [first, second, third]) await node.presence.members.synced("chat:a");
      const state = await third.members("chat:a");
      expect(state).toEqual({ ada: 1, bob: 2, cem: 1 });

      first.kill();
      const killedAt = performance.now();
      await eventually(async () => {
        for (const node of [second, third]) expect(await node.members("chat:a")).toEqual({ bob: 1, cem: 1 });
      });
      const tookMs = performance.now() - killedAt;
      await eventually(() => expect(replay(state, third.told.get("chat:a") ?? [])).toEqual({ bob: 1, cem: 1 }));

      expect(tookMs).toBeLessThan(promised(3_000));
      const late = await startPresenceNode({ prefix: third.keys.prefix });
      expect(await late.members("chat:a")).toEqual({ bob: 1, cem: 1 });
      await eventually(async () => expect(await late.commands.hlen(late.keys.channelMembers("chat:a"))).toBe(2 + 2));
    },
  );

  test("are back when it was only away", { timeout: 120_000 }, async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    first.subscribe("ada", "chat:a");
    second.subscribe("bob", "chat:a");
    for (const node of [first, second]) await node.presence.members.synced("chat:a");

    first.freeze();
    await eventually(async () => expect(await second.members("chat:a")).toEqual({ bob: 1 }));
    first.thaw();

    await eventually(async () => expect(await second.members("chat:a")).toEqual({ ada: 1, bob: 1 }));
    expect(await first.members("chat:a")).toEqual({ ada: 1, bob: 1 });
  });

  test("are told by a node that was away only when it knows who may still be told", { timeout: 120_000 }, async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    first.subscribe("ada", "chat:a");
    await first.presence.members.synced("chat:a");
    const told = () => (first.told.get("chat:a") ?? []).flatMap((diff) => users(diff.joined)).filter((user) => user !== "ada"); // prettier-ignore

    first.freeze();
    await eventually(() => expect(first.control.fence.isOpen).toBe(false));
    second.subscribe("bob", "chat:a");
    await second.presence.members.synced("chat:a");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(told()).toEqual([]);
    first.thaw();

    await eventually(() => expect(told()).toEqual(["bob"]));
  });

  test("are not shown for a moment by a node that has just begun", async () => {
    const prefix = freshPrefix();
    const gone = await startPresenceNode({ prefix });
    gone.subscribe("ada", "chat:a");
    await gone.presence.members.synced("chat:a");
    gone.kill();
    const { commands, keys } = await startPresenceNode({ prefix });
    await eventually(async () => expect(await commands.zscore(keys.nodes(), gone.control.incarnation)).toBeNull());

    const fresh = await startPresenceNode({ prefix });

    expect(await fresh.members("chat:a")).toEqual({});
  });
});
