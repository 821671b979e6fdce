import { describe, expect, test } from "vitest";
import type { ConnectionQuotaStore } from "../../src/presence/connection-quota-store.ts";
import { ConnectionQuota } from "../../src/presence/connection-quota.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";
import { startPresenceNode, type PresenceNode } from "./presence-node.ts";

async function startNodes(count: number, connectionsPerUser = 20): Promise<PresenceNode[]> {
  const prefix = freshPrefix();
  return Promise.all(Array.from({ length: count }, () => startPresenceNode({ prefix, connectionsPerUser })));
}

const granted = (outcomes: readonly PromiseSettledResult<void>[]): number =>
  outcomes.filter(({ status }) => status === "fulfilled").length;

/** What the store holds for a user, over all nodes. */
async function stored({ commands, keys }: PresenceNode, userTag: string): Promise<number> {
  const counts = Object.values(await commands.hgetall(keys.userConnections(userTag)));
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** A node that knows of no other. */
const alone = {
  incarnation: () => "node-1",
  mayWrite: () => true,
  fence: { isOpen: true, openedWithin: async () => true, failure: undefined },
  membership: { deadAmong: async () => [], deadAmongAll: async () => [] },
  userTagOf: (sessionId: string) => sessionId,
  clock: systemClock,
  log: quietLog,
};

describe("connections of a user", () => {
  test("never exceed the cap, however many ask on however many nodes at once", async () => {
    const nodes = await startNodes(3);
    for (let round = 0; round < 5; round++) {
      const asked = Array.from({ length: 60 }, (_, n) =>
        nodes[n % 3]!.presence.connectionQuota.take(`user${round}.session${n % 5}`),
      );
      const outcomes = await Promise.allSettled(asked);

      expect(granted(outcomes)).toBe(20);
      const refusals = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason.code] : []));
      expect(new Set(refusals)).toEqual(new Set(["connection_limit"]));
      await eventually(async () => expect(await stored(nodes[0]!, `user${round}`)).toBe(20));
    }
  });

  test("of others do not count", async () => {
    const [node] = (await startNodes(1, 2)) as [PresenceNode];
    await Promise.all(["ada.1", "ada.2", "bob.1", "bob.2"].map((id) => node.presence.connectionQuota.take(id)));

    await expect(node.presence.connectionQuota.take("ada.1")).rejects.toMatchObject({ code: "connection_limit" });
  });

  test("one that ends makes room for another, on any node", async () => {
    const [first, second] = (await startNodes(2, 1)) as [PresenceNode, PresenceNode];
    for (let round = 0; round < 5; round++) {
      await first.presence.connectionQuota.take("ada.1");
      await expect(first.presence.connectionQuota.take("ada.2")).rejects.toMatchObject({ code: "connection_limit" });
      first.presence.connectionQuota.release("ada.1");
      await eventually(async () => expect(await stored(second, "ada")).toBe(0));
      await second.presence.connectionQuota.take("ada.1");
      second.presence.connectionQuota.release("ada.1");
      await eventually(async () => expect(await stored(second, "ada")).toBe(0));
    }
  });

  test("one that has just ended makes room at once, also for another session", async () => {
    const [first, second] = (await startNodes(2, 1)) as [PresenceNode, PresenceNode];
    await first.presence.connectionQuota.take("ada.1");
    for (const [from, to, before, after] of [
      [first, first, "ada.1", "ada.2"],
      [first, second, "ada.2", "ada.2"],
      [second, first, "ada.2", "ada.1"],
    ] as const) {
      from.presence.connectionQuota.release(before);
      await to.presence.connectionQuota.take(after);
    }
  });

  test("are requested once, however many begin while a request is under way", async () => {
    let outstanding = 0;
    const requests: { requested: number; outstanding: number }[] = [];
    const replies: (() => void)[] = [];
    const store: ConnectionQuotaStore = {
      take: async (_userTag, { requested }) => {
        requests.push({ requested, outstanding });
        await new Promise<void>((resolve) => replies.push(resolve));
        return { granted: requested, holders: [] };
      },
      held: async () => [],
      removeNodes: async () => undefined,
    };
    const quota = new ConnectionQuota({ ...alone, store }, { connectionsPerUser: 20 });
    const takes: Promise<void>[] = [];
    for (let round = 0; round < 5; round++) {
      for (let n = 0; n < 3; n++) takes.push(quota.take("ada.1"));
      outstanding += 3;
      await eventually(() => expect(replies).not.toEqual([]));
      replies.shift()?.();
    }
    const reply = setInterval(() => replies.shift()?.(), 1);
    await Promise.all(takes);
    clearInterval(reply);

    expect(requests.at(-1)).toEqual({ requested: 15, outstanding: 15 });
    for (const one of requests) expect(one.requested).toBeLessThanOrEqual(one.outstanding);
  });

  test("are not kept for a handshake that failed while a write requested one for it", async () => {
    const clock = new FakeClock();
    const requests: { requested: number; grant: (granted: number) => void }[] = [];
    const store: ConnectionQuotaStore = {
      take: (_userTag, { requested }) =>
        new Promise((resolve) => {
          requests.push({ requested, grant: (granted) => resolve({ granted, holders: ["node-2"] }) });
        }),
      held: async () => [],
      removeNodes: async () => undefined,
    };
    const heartbeat = Promise.withResolvers<never>();
    const membership = { ...alone.membership, deadAmongAll: () => heartbeat.promise };
    const quota = new ConnectionQuota({ ...alone, store, membership, clock }, { connectionsPerUser: 1 });
    const take = quota.take("ada.1");
    await settled();
    requests[0]?.grant(0);
    await settled();
    quota.rewriteAll();
    await clock.advance(50);

    heartbeat.reject(new Error("Connection is closed."));
    await expect(take).rejects.toThrow("Connection is closed.");
    requests[1]?.grant(1);
    await clock.advance(50);

    expect(requests.map(({ requested }) => requested)).toEqual([1, 1, 0]);
  });

  test("nobody is refused on account of a node that was killed a moment ago", { timeout: 120_000 }, async () => {
    const [first, second] = (await startNodes(2, 5)) as [PresenceNode, PresenceNode];
    for (let n = 0; n < 5; n++) await first.presence.connectionQuota.take("ada.1");

    first.kill();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, () => second.presence.connectionQuota.take("ada.1")),
    );

    expect(granted(outcomes)).toBe(5);
    expect(await stored(second, "ada")).toBe(5);
    expect(await second.presence.connectionQuota.connectionsOf(["ada.1"])).toEqual(new Map([["ada.1", 5]]));
  });

  test("are kept, and counted, by a node that was away past its lease", { timeout: 120_000 }, async () => {
    const [first, second] = (await startNodes(2, 3)) as [PresenceNode, PresenceNode];
    for (const id of ["ada.1", "ada.1", "ada.2"]) await first.presence.connectionQuota.take(id);
    const before = first.control.incarnation;

    first.freeze();
    await eventually(() => expect(second.control.living).not.toContain(before));
    first.thaw();
    await eventually(() => expect(first.control.fence.isOpen).toBe(true));

    await eventually(async () => expect(await stored(second, "ada")).toBe(3));
    await expect(second.presence.connectionQuota.take("ada.3")).rejects.toMatchObject({ code: "connection_limit" });
  });

  test("are said again to a store that has lost them", { timeout: 120_000 }, async () => {
    const [first] = (await startNodes(1, 3)) as [PresenceNode];
    for (const id of ["ada.1", "ada.1", "bob.1"]) await first.presence.connectionQuota.take(id);
    await first.commands.unlink(first.keys.userConnections("ada"), first.keys.userConnections("bob"));

    first.redis.connection("subscriber").disconnect(true);

    await eventually(async () => expect([await stored(first, "ada"), await stored(first, "bob")]).toEqual([2, 1]));
  });

  test("by session are summed over nodes, the dead left out", { timeout: 120_000 }, async () => {
    const nodes = await startNodes(3);
    for (const [index, id] of ["ada.1", "ada.1", "ada.2", "ada.1", "bob.1"].entries()) {
      await nodes[index % 3]!.presence.connectionQuota.take(id);
    }
    const asked = ["ada.1", "ada.2", "bob.1", "nobody.1"];
    for (const node of nodes) {
      expect([...(await node.presence.connectionQuota.connectionsOf(asked)).values()]).toEqual([3, 1, 1, 0]);
    }

    nodes[0]!.kill();

    await eventually(async () => {
      expect([...(await nodes[1]!.presence.connectionQuota.connectionsOf(asked)).values()]).toEqual([1, 1, 1, 0]);
    });
  });

  test.each([1, 2, 3])(
    "come and go at random on three nodes with cuts, and in the end none is left (seed %i)",
    { timeout: 120_000 },
    async (seed) => {
      const random = seeded(seed);
      const nodes = await startNodes(3, 4);
      const held: { node: PresenceNode; sessionId: string }[] = [];
      const asking: Promise<void>[] = [];
      const take = async (node: PresenceNode, sessionId: string): Promise<void> => {
        // Refused, or the store was away.
        const isGranted = await node.presence.connectionQuota.take(sessionId).then(
          () => true,
          () => false,
        );
        if (!isGranted) return;
        held.push({ node, sessionId });
        expect(held.length).toBeLessThanOrEqual(4);
      };
      const release = (one: (typeof held)[number]): void => one.node.presence.connectionQuota.release(one.sessionId);
      for (let step = 0; step < 300; step++) {
        const node = nodes[Math.floor(random() * 3)] as PresenceNode;
        if (random() < 0.5) asking.push(take(node, `ada.${Math.floor(random() * 3)}`));
        else for (const one of held.splice(Math.floor(random() * held.length), 1)) release(one);
        if (random() < 0.03) node.redis.connection("commands").disconnect(true);
        await new Promise((resolve) => setTimeout(resolve, random() * 4));
      }
      await Promise.all(asking);
      for (const one of held.splice(0)) release(one);

      await eventually(async () => expect(await stored(nodes[0]!, "ada")).toBe(0));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 12 }, (_, n) => nodes[n % 3]!.presence.connectionQuota.take("ada.0")),
      );
      expect(granted(outcomes)).toBe(4);
    },
  );
});
