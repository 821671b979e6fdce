import { describe, expect, test } from "vitest";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { startPresenceNode, type PresenceNode } from "./presence-node.ts";

async function startNodes(count: number): Promise<PresenceNode[]> {
  const prefix = freshPrefix();
  return Promise.all(Array.from({ length: count }, () => startPresenceNode({ prefix })));
}

/** Every page, one after the other. */
async function walk(node: PresenceNode, prefix: string, limit: number): Promise<[string, number][]> {
  const listed: [string, number][] = [];
  let cursor: string | undefined;
  do {
    const page = await node.presence.list({ prefix, limit, cursor });
    expect(page.channels.length).toBeLessThanOrEqual(limit);
    listed.push(...page.channels.map(({ channel, subscribers }): [string, number] => [channel, subscribers]));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return listed;
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

describe("the channels that somebody reads", () => {
  test("are listed with their subscribers on all nodes, whatever was answered before the question", async () => {
    const nodes = await startNodes(3);
    for (const [index, node] of nodes.entries()) {
      node.subscribe("ada", "news:all");
      node.subscribe("bob", `chat:${index}`);
    }

    expect(await nodes[1]!.presence.list({ limit: 10 })).toEqual({
      channels: [
        { channel: "chat:0", subscribers: 1 },
        { channel: "chat:1", subscribers: 1 },
        { channel: "chat:2", subscribers: 1 },
        { channel: "news:all", subscribers: 3 },
      ],
    });
  });

  test("are off the list with their last subscriber", async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    const leave = [first, second].map((node) => node.subscribe("ada", "chat:a"));

    leave[0]?.();
    expect(await first.presence.list({ limit: 10 })).toEqual({ channels: [{ channel: "chat:a", subscribers: 1 }] });
    leave[1]?.();
    expect(await first.presence.list({ limit: 10 })).toEqual({ channels: [] });
  });

  test.each([1, 7, 50, 1_000])("come in pages of %i, each once, in order, with any prefix", async (limit) => {
    const random = seeded(limit);
    const nodes = await startNodes(3);
    const truth = new Map<string, number>();
    const names = ["chat", "chat:", "chat:a", "chat:é", "chat:\uffff", "chat:🦆", "chat:🦆x", "news:1", "team:x"];
    for (let n = 0; n < 60; n++) names.push(`chat:${Math.floor(random() * 1_000)}`);
    for (const name of names) {
      for (const node of nodes.filter(() => random() < 0.6)) {
        node.subscribe("ada", name);
        truth.set(name, (truth.get(name) ?? 0) + 1);
      }
    }

    for (const prefix of ["", "chat", "chat:", "chat:🦆", "none:"]) {
      const expected = [...truth].filter(([name]) => name.startsWith(prefix)).toSorted(([a], [b]) => byBytes(a, b));
      expect(await walk(nodes[0]!, prefix, limit)).toEqual(expected);
    }
  });

  test("a cursor from elsewhere leads nowhere outside the prefix", async () => {
    const [node] = (await startNodes(1)) as [PresenceNode];
    for (const name of ["a:1", "b:1", "c:1"])
      node.subscribe(
        "ada",
        name.replace(/^./, (kind) => `chat:${kind}`),
      );

    const before = await node.presence.list({ prefix: "chat:b", limit: 10, cursor: "chat:a" });
    const behind = await node.presence.list({ prefix: "chat:b", limit: 10, cursor: "chat:c" });

    expect(before.channels.map(({ channel }) => channel)).toEqual(["chat:b:1"]);
    expect(behind.channels).toEqual([]);
  });

  test(
    "are counted again under the new name of a node that was away, and not twice",
    { timeout: 120_000 },
    async () => {
      const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
      first.subscribe("ada", "chat:a");
      second.subscribe("bob", "chat:a");
      const before = first.control.incarnation;
      await second.presence.list({ limit: 1 });

      first.freeze();
      await eventually(async () => {
        expect(await second.presence.list({ limit: 1 })).toEqual({ channels: [{ channel: "chat:a", subscribers: 1 }] });
      });
      first.thaw();

      await eventually(async () => {
        expect(await second.presence.list({ limit: 1 })).toEqual({ channels: [{ channel: "chat:a", subscribers: 2 }] });
      });
      await eventually(async () => expect(await second.commands.exists(second.keys.nodeChannels(before))).toBe(0));
    },
  );

  test("a dead node leaves nothing behind", { timeout: 120_000 }, async () => {
    const [first, second] = (await startNodes(2)) as [PresenceNode, PresenceNode];
    first.subscribe("ada", "chat:a");
    const { incarnation } = first.control;
    await first.presence.list({ limit: 1 });

    first.kill();

    await eventually(async () => {
      const { commands, keys } = second;
      expect(await commands.exists(keys.nodeChannels(incarnation), keys.nodeChannelCounts(incarnation))).toBe(0);
    });
    expect(await second.presence.list({ limit: 1 })).toEqual({ channels: [] });
  });
});
