import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leaseMs } from "../../src/cluster/control-store.ts";
import { findEarlierVersion } from "../support/earlier-version.ts";
import { expectWhole, underLoad } from "../support/faults.ts";
import { type Client, connectClient, told } from "../support/gateway.ts";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { within } from "../support/promised.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";
import { owned } from "../support/owned.ts";

const earlier = findEarlierVersion();
if (earlier === undefined)
  console.error("THE HISTORY IS SHALLOW: nodes of an earlier version and of this one in one cluster are not tested.");

/** Which node is told something that concerns the other. */
const directions = [
  ["the earlier version", "this one", 0, 1],
  ["this version", "the earlier one", 1, 0],
] as const;

describe.skipIf(earlier === undefined)(`a cluster of ${earlier?.commit.slice(0, 8)} and of this version`, () => {
  let sources: { folder: string; remove(): void } | undefined;
  let cluster: Cluster;

  beforeAll(async () => {
    sources = earlier?.unpack();
    cluster = await startCluster({ nodes: 2, sources: [sources?.folder, undefined] });
  });
  afterAll(async () => {
    await cluster?.stop();
    sources?.remove();
  });

  const node = (index: number) => cluster.node(index);
  const call = async (index: number, method: string, path: string, body?: unknown) =>
    (await node(index).call(method, path, body)).body;
  async function clientOn(index: number, userId: string, more: object = {}) {
    const signedIn = await node(index).signIn(userId, more);
    return { ...signedIn, client: await connectClient(node(index).url, signedIn.token) };
  }
  const subscribe = (client: Client, channel: string) => client.emitWithAck("subscribe", { channel });

  test("delivers publications of both to clients of both, in one order", async () => {
    const channel = "lab:both";
    const clients = [(await clientOn(0, "ada")).client, (await clientOn(1, "bob")).client];
    for (const client of clients) await subscribe(client, channel);

    for (const n of [1, 2, 3, 4]) await call(n % 2, "POST", "/v1/publish", { channel, event: "e", data: n });
    await clients[0]?.emitWithAck("publish", { channel, event: "e", data: 5 });
    await clients[1]?.emitWithAck("publish", { channel, event: "e", data: 6 });

    for (const client of clients)
      await eventually(() => expect(told(client, "publication").map(({ data }) => data)).toEqual([1, 2, 3, 4, 5, 6]));
    const histories = [0, 1].map((index) => call(index, "GET", `/v1/channels/${channel}/history`));
    const [first, second] = await Promise.all(histories);
    expect(first).toEqual(second);
  });

  test("shows the members of both on both", async () => {
    const channel = "chat:both";
    for (const index of [0, 1]) await subscribe((await clientOn(index, `member-${index}`)).client, channel);

    for (const index of [0, 1])
      await eventually(async () => {
        const { members } = await call(index, "GET", `/v1/channels/${channel}/presence`);
        expect(members.map(({ userId }: { userId: string }) => userId).toSorted()).toEqual(["member-0", "member-1"]);
      });
  });

  test.each(directions)("recovers a stock client that goes from %s to %s", async (_from, _to, from, to) => {
    const channel = `lab:from-${from}`;
    let target = from;
    const line = owned(await startTcpProxy({ targets: () => [{ port: node(target).port }] }));
    const { token } = await node(from).signIn("ada");
    const client = await connectClient(`http://127.0.0.1:${line.port}`, token, {
      reconnection: true,
      reconnectionDelay: 50,
    });
    await subscribe(client, channel);
    await call(from, "POST", "/v1/publish", { channel, event: "e", data: 1 });
    await eventually(() => expect(told(client, "publication")).toHaveLength(1));

    target = to;
    line.cut();
    for (const data of [2, 3]) await call(data % 2, "POST", "/v1/publish", { channel, event: "e", data });
    await line.heal();

    await eventually(() => expect(told(client, "publication").map(({ data }) => data)).toEqual([1, 2, 3]));
    expect(client.recovered).toBe(true);
    await eventually(() => expect(client.ready).toMatchObject({ nodeId: node(to).nodeId, recovered: true }));
  });

  test.each(directions)("carries out on both what %s is asked, for clients of %s", (_from, _to, from, to) =>
    within(leaseMs, async () => {
      const userId = `carried-${randomUUID()}`;
      const channels = { subscribe: ["private:7"] };
      const { client, sessionId } = await clientOn(to, userId, { channels });
      client.on("which", (_question: unknown, answer: (text: string) => void) => answer("here"));
      expect(await subscribe(client, "private:7")).toMatchObject({ ok: true });

      const asked = await call(from, "POST", `/v1/users/${userId}/request`, { event: "which", args: [1] });
      expect(asked).toMatchObject({ answers: [{ args: ["here"] }], nodes: 2, acknowledged: 2 });
      const changed = await call(from, "PATCH", `/v1/sessions/${sessionId}`, { channels: {} });
      expect(changed).toMatchObject({ nodes: 2, acknowledged: 2 });
      await eventually(() => expect(told(client, "unsubscribed")).toMatchObject([{ channel: "private:7" }]));
      const given = await call(from, "POST", `/v1/users/${userId}/subscribe`, { channel: "lab:given" });
      expect(given).toMatchObject({ connections: 1, nodes: 2, acknowledged: 2 });

      const revoked = await call(from, "DELETE", `/v1/sessions/${sessionId}`);
      expect(revoked).toMatchObject({ disconnected: 1, nodes: 2, acknowledged: 2 });
      await eventually(() => expect(told(client, "closing")).toMatchObject([{ code: "session_revoked" }]));

      const other = await clientOn(to, userId);
      expect(await call(from, "PUT", `/v1/users/${userId}/block`, {})).toMatchObject({
        disconnected: 1,
        acknowledged: 2,
      });
      await eventually(() => expect(told(other.client, "closing")).toMatchObject([{ code: "user_blocked" }]));
      await expect(connectClient(node(to).url, other.token)).rejects.toThrow("user_blocked");
    }),
  );

  test("loses nothing while it is upgraded node by node, and rolled back", async () => {
    const outcome = await underLoad(cluster, { seed: 1 }, async () => {
      for (const [index, version] of [
        [0, undefined],
        [1, sources?.folder],
        [0, sources?.folder],
      ] as const) {
        node(index).signal("SIGTERM");
        expect((await node(index).ended).code).toBe(0);
        await cluster.restart(index, version);
      }
    });

    expectWhole(outcome);
    for (const { closings } of outcome.load.readers) for (const { code } of closings) expect(code).toBe("drain");
  });
});
