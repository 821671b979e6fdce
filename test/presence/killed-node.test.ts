import { expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectClient, told, type Client } from "../support/gateway.ts";
import { promised, timed } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import type { MembersDiff } from "../../src/presence/members-replica.ts";
import { replay, toRecord } from "./presence-node.ts";

interface Place {
  node: number;
  user: string;
  token: string;
}

async function subscribe(cluster: Cluster, { node, token }: Place): Promise<Client> {
  const client = await connectClient(cluster.node(node).url, token);
  expect(await client.emitWithAck("subscribe", { channel: "chat:lobby" })).toMatchObject({ ok: true });
  return client;
}

/** Three processes; five users on each, and one on all of them. */
async function settle(cluster: Cluster): Promise<{ clients: Client[]; common: string }> {
  const common = (await cluster.node(0).signIn("common")).token;
  const clients: Client[] = [];
  for (const node of [0, 1, 2]) {
    for (let n = 0; n < 5; n++) {
      const user = `user-${node}-${n}`;
      clients.push(await subscribe(cluster, { node, user, token: (await cluster.node(0).signIn(user)).token }));
    }
    for (let n = 0; n < 6; n++) clients.push(await subscribe(cluster, { node, user: "common", token: common }));
  }
  return { clients, common };
}

test(
  "whom a killed node leaves behind is gone from every other within three seconds",
  { timeout: 120_000, ...timed },
  async () => {
    const cluster = await startCluster();
    onTestFinished(() => cluster.stop());
    const { clients, common } = await settle(cluster);
    const watchers = [clients[0]!, clients[11]!];
    const states = await Promise.all(
      watchers.map(async (watcher) => {
        const before = told(watcher, "presence").length;
        const { members, count } = await watcher.emitWithAck("presence", { channel: "chat:lobby" });
        expect(count).toBe(16);
        return { watcher, before, state: toRecord(members) };
      }),
    );
    const survivors = Object.fromEntries([
      ...[0, 1].flatMap((node) => [0, 1, 2, 3, 4].map((n) => [`user-${node}-${n}`, 1])),
      ["common", 12],
    ]) as Record<string, number>;

    await cluster.node(2).kill();
    const killedAt = performance.now();
    await eventually(async () => {
      for (const { watcher, before, state } of states) {
        expect(replay(state, told<MembersDiff>(watcher, "presence").slice(before))).toEqual(survivors);
      }
      for (const node of [0, 1]) {
        const { body } = await cluster.node(node).call("GET", "/v1/channels/chat%3Alobby/presence");
        expect(toRecord(body.members)).toEqual(survivors);
        expect((await cluster.node(node).call("GET", "/v1/channels?prefix=chat")).body.channels).toEqual([
          { channel: "chat:lobby", subscribers: 22 },
        ]);
      }
    });
    const tookMs = performance.now() - killedAt;

    expect(tookMs).toBeLessThan(promised(3_000));
    const sessions = (await cluster.node(0).call("GET", "/v1/users/common/sessions")).body.sessions;
    expect(sessions).toMatchObject([{ connections: 12 }]);

    // Eight more fit, and no ninth.
    const back = await Promise.allSettled(Array.from({ length: 9 }, () => connectClient(cluster.node(0).url, common)));
    expect(back.filter(({ status }) => status === "fulfilled")).toHaveLength(8);
  },
);

test("clients of a killed node are not kept out by what they left there", { timeout: 120_000 }, async () => {
  const cluster = await startCluster({ nodes: 2 });
  onTestFinished(() => cluster.stop());
  const { token } = await cluster.node(0).signIn("ada");
  await Promise.all(Array.from({ length: 20 }, () => connectClient(cluster.node(1).url, token)));

  await cluster.node(1).kill();
  const back = await Promise.allSettled(Array.from({ length: 20 }, () => connectClient(cluster.node(0).url, token)));

  expect(back.filter(({ status }) => status === "fulfilled")).toHaveLength(20);
});
