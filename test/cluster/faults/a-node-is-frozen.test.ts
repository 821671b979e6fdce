import { randomUUID } from "node:crypto";
import { Emitter } from "@socket.io/redis-emitter";
import { describe, expect, onTestFinished, test } from "vitest";
import { leaseMs } from "../../../src/cluster/control-store.ts";
import type { Cluster } from "../../support/cluster.ts";
import { expectNobodyLeft, expectWhole, isLong, lasting, pause, seeds, underLoad } from "../../support/faults.ts";
import { connectClient, told, type Client } from "../../support/gateway.ts";
import { promised, within } from "../../support/promised.ts";
import { useCluster } from "../../support/use-cluster.ts";
import { eventually } from "../../support/world.ts";

describe("a node frozen under 4 MB a second, beyond what Redis keeps for it", () => {
  // What Redis keeps by default holds 8 s of it; the short run is frozen for less.
  const kept = isLong ? "pubsub 32mb 8mb 60" : "pubsub 4mb 2mb 2";
  const cluster = useCluster({ store: { args: ["--client-output-buffer-limit", kept] } });

  test.each(seeds)("brings its readers everything once it thaws (seed %i)", async (seed) => {
    const frozen = cluster().node(1);
    const publishing = { padding: 20_000 };
    const publishAt = () => [cluster().node(0).url, cluster().node(2).url];
    const readers = isLong ? 60 : 24;
    const outcome = await underLoad(cluster(), { readers, seed, publishAt, publishing }, async () => {
      frozen.freeze();
      await pause(lasting(20_000, 6_000));
      const redis = await cluster().store.primary();
      await eventually(async () =>
        expect(String(await redis.ask("CLIENT", "LIST", "TYPE", "pubsub"))).not.toContain("tidegate:subscriber:node-2"),
      );
      frozen.thaw();
    });

    expectWhole(outcome);
    expectNobodyLeft(cluster(), outcome);
  });
});

describe("a node frozen while somebody is logged out", () => {
  const cluster = useCluster({
    file: { bridges: [{ pattern: "whispers", channel: "user:{user}", event: "whisper" }] },
  });

  /**
   * Thaws the second node whatever happens, and tries again if that failed while the machine stood still: then leases of the
   * others may have ended as well.
   */
  const undisturbed = (attempt: () => Promise<void>): Promise<void> =>
    within(leaseMs + lasting(8_000, 3_000), () => attempt().finally(() => cluster().node(1).thaw()));

  test("is named silent within its lease, and delivers nothing private once it thaws", () =>
    undisturbed(async () => {
      const [here, there] = [cluster().node(0), cluster().node(1)];
      const [ada, bob] = ["ada", "bob"].map((name) => `${name}-${randomUUID()}`) as [string, string];
      const { sessionId, token } = await there.signIn(ada);
      const other = await there.signIn(bob);
      const [revoked, bystander] = [await reader(there.url, token), await reader(there.url, other.token)];
      await whisper(cluster(), ada, "before");
      await eventually(() => expect(heard(revoked)).toEqual(["before"]));

      there.freeze();
      const asked = Date.now();
      const { status, body } = await here.call("DELETE", `/v1/sessions/${sessionId}`);
      const answeredMs = Date.now() - asked;
      const emitter = new Emitter(cluster().redis());
      for (const n of [1, 2, 3]) {
        for (const [user, text] of [
          [ada, `secret ${n}`],
          [bob, `his ${n}`],
        ] as const) {
          await whisper(cluster(), user, text);
          await whisperLive(cluster(), user, `${text}, live`);
          emitter.to(`user:${user}`).emit("whisper", { text });
        }
      }
      await pause(lasting(5_000, 1_000));
      there.thaw();
      await eventually(() => {
        expect(heard(bystander).filter((text) => !text.endsWith("live"))).toEqual(["his 1", "his 2", "his 3"]);
        expect(heard(bystander).filter((text) => text.endsWith("live"))).toHaveLength(3);
        expect(told(bystander, "whisper")).toHaveLength(3);
      });
      await eventually(() => expect(revoked.connected).toBe(false));

      expect({ status, body }).toMatchObject({ status: 200, body: { revoked: 1, nodes: 3, acknowledged: 2 } });
      expect(answeredMs).toBeLessThan(promised(4_000));
      expect(heard(revoked)).toEqual(["before"]);
      expect(told(revoked, "whisper")).toEqual([]);
      expect(told(revoked, "closing")).toMatchObject([{ code: "session_revoked" }]);
    }));

  test("delivers nothing that rights no longer allow once it thaws, and all that they do", () =>
    undisturbed(async () => {
      const [here, there] = [cluster().node(0), cluster().node(1)];
      const rights = { roles: ["staff"], channels: { subscribe: ["private:*"] } };
      const orderId = `o-${randomUUID()}`;
      const { sessionId, token } = await there.signIn("cy", rights);
      const [changed, bystander] = [
        await reader(there.url, token),
        await reader(there.url, (await there.signIn("dan", rights)).token),
      ];
      await here.call("POST", "/v1/orders", { orderId, parties: { customer: "dan", courier: "cy" } });
      const channels = [`order:${orderId}`, "private:kept", "private:lost", "staff:floor"];
      for (const client of [changed, bystander])
        for (const channel of channels)
          expect(await client.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });

      there.freeze();
      const asked = Date.now();
      const answers = await Promise.all([
        here.call("PATCH", `/v1/sessions/${sessionId}`, { roles: [], channels: { subscribe: ["private:kept"] } }),
        here.call("PATCH", `/v1/orders/${orderId}`, { parties: { courier: null } }),
      ]);
      const answeredMs = Date.now() - asked;
      const emitter = new Emitter(cluster().redis());
      for (const channel of channels) {
        for (const publication of [{ event: "stored" }, { event: "fleeting", ephemeral: true }]) {
          const { status } = await here.call("POST", "/v1/publish", { channel, data: 1, ...publication });
          expect(status).toBe(200);
        }
        emitter.to(channel).emit("live", { channel });
      }
      await pause(lasting(5_000, 1_000));
      there.thaw();
      await eventually(() => {
        expect(channelsOf(bystander, "publication", "stored")).toEqual(channels);
        expect(channelsOf(bystander, "live")).toEqual(channels);
      });
      await eventually(() => {
        expect(channelsOf(changed, "unsubscribed")).toHaveLength(3);
        expect(channelsOf(changed, "publication", "stored")).not.toEqual([]);
        expect(channelsOf(changed, "live")).not.toEqual([]);
      });

      for (const { status, body } of answers)
        expect({ status, body }).toMatchObject({ status: 200, body: { nodes: 3, acknowledged: 2 } });
      expect(answeredMs).toBeLessThan(promised(4_000));
      expect(channelsOf(changed, "unsubscribed")).toEqual([`order:${orderId}`, "private:lost", "staff:floor"]);
      expect(channelsOf(changed, "publication", "stored")).toEqual(["private:kept"]);
      // What is ephemeral may also be dropped.
      expect(["private:kept"]).toEqual(expect.arrayContaining(channelsOf(changed, "publication", "fleeting")));
      expect(channelsOf(changed, "live")).toEqual(["private:kept"]);
    }));

  test("closes a user's connections once it thaws, if the user was erased meanwhile", () =>
    undisturbed(async () => {
      const [here, there] = [cluster().node(0), cluster().node(1)];
      const fay = `fay-${randomUUID()}`;
      const client = await reader(there.url, (await there.signIn(fay)).token);
      expect(await client.emitWithAck("subscribe", { channel: "chat:a" })).toMatchObject({ ok: true });
      await here.call("POST", "/v1/orders", { orderId: randomUUID(), parties: { customer: fay } });

      there.freeze();
      const erased = await here.call("DELETE", `/v1/users/${fay}`);
      await whisper(cluster(), fay, "secret");
      there.thaw();
      await eventually(() => expect(client.connected).toBe(false));
      // It has another name by now, under which it is asked once its lease has begun.
      await eventually(async () => expect((await there.readiness()).status).toBe(200));
      const again = await here.call("DELETE", `/v1/users/${fay}`);

      expect(erased).toMatchObject({
        status: 200,
        body: { removed: { sessions: 1, presence: 0, orders: 1 }, nodes: 3, acknowledged: 2 },
      });
      expect(heard(client)).toEqual([]);
      expect(again.body).toMatchObject({
        removed: { sessions: 0, orders: 0, publications: 1 },
        nodes: 3,
        acknowledged: 3,
      });
      await eventually(async () =>
        expect((await here.call("GET", "/v1/channels/chat:a/presence")).body.members).toEqual([]),
      );
    }));

  test("that thaws within its lease is asked and answers", async () => {
    const [here, there] = [cluster().node(0), cluster().node(2)];

    // Heartbeats come twice a second, so that at least three quarters of a lease are left.
    const client = await within(0.75 * leaseMs, async () => {
      const { sessionId, token } = await there.signIn("eve");
      const connected = await reader(there.url, token);
      there.freeze();
      const answer = here.call("DELETE", `/v1/sessions/${sessionId}`);
      await pause(500);
      there.thaw();
      expect((await answer).body).toEqual({ revoked: 1, disconnected: 1, nodes: 3, acknowledged: 3 });
      return connected;
    });
    await eventually(() => expect(client.connected).toBe(false));
  });
});

async function reader(url: string, token: string): Promise<Client> {
  const client = await connectClient(url, token);
  onTestFinished(() => void client.disconnect());
  return client;
}

/** Says something to a user through a node that is awake. */
async function whisper(cluster: Cluster, user: string, text: string): Promise<void> {
  const publication = { channel: `user:${user}`, event: "whisper", data: { text } };
  const { status } = await cluster.node(0).call("POST", "/v1/publish", publication);
  expect(status).toBe(200);
}

/** The same through a bridge, past the log. */
async function whisperLive(cluster: Cluster, user: string, text: string): Promise<void> {
  const redis = await cluster.store.primary();
  await redis.ask("PUBLISH", "whispers", JSON.stringify({ user, text }));
}

const heard = (client: Client): string[] => told(client, "publication").map(({ data }) => data.text);

/** Channels of what a client was told, in alphabetical order; `named` is the publications' own event. */
const channelsOf = (client: Client, event: string, named?: string): string[] =>
  told(client, event)
    .filter((message) => named === undefined || message.event === named)
    .map(({ channel }) => String(channel))
    .toSorted();
