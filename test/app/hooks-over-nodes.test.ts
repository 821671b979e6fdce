import { describe, expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { openClient, told } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { json, secret, startApp } from "./http-app.ts";

async function threeNodes(url: string): Promise<Cluster> {
  const file = {
    channels: { room: { subscribe: "hook" } },
    app: { url, secret, timeoutMs: 30_000, hooks: ["connect", "subscribe"] },
  };
  const cluster = await startCluster({ file });
  onTestFinished(() => cluster.stop());
  return cluster;
}

describe("hooks on three nodes", () => {
  test("hold for a cookie user whose node is killed, and what they answered is revoked on all that are left", async () => {
    let isOpen = true;
    const { url, requests } = await startApp(
      json(({ json: { type, connection } }) => {
        if (type === "connect") return { userId: String(connection.headers.cookie).replace("sid=", "") };
        return isOpen ? { allow: true, ttlSeconds: 3_600 } : { refuse: { code: "closed" } };
      }),
    );
    const cluster = await threeNodes(url);
    const client = openClient(cluster.url, "", {
      auth: {},
      extraHeaders: { cookie: "sid=ann" },
      reconnection: true,
      reconnectionDelay: 100,
    });
    await eventually(() => expect(client.ready).toMatchObject({ userId: "ann" }), 30_000);
    expect(await client.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({ ok: true });
    const home = cluster.nodes.find(({ nodeId }) => nodeId === client.ready.nodeId);
    const other = cluster.nodes.find((node) => node !== home);
    const publish = (data: number) => other?.call("POST", "/v1/publish", { channel: "room:1", event: "e", data });
    await publish(1);
    await eventually(() => expect(told(client, "publication")).toHaveLength(1), 30_000);

    await home?.kill();
    await publish(2);

    await eventually(() => expect(told(client, "publication").map(({ data }) => data)).toEqual([1, 2]), 60_000);
    expect(client.recovered).toBe(true);
    expect(requests.filter(({ json: { type } }) => type === "connect")).toHaveLength(2);

    isOpen = false;
    const sessionId = String(client.ready.sessionId);
    const answer = await other?.call("PATCH", `/v1/sessions/${sessionId}`, {});

    // The killed node is asked too until its lease ends.
    expect(answer?.body.acknowledged).toBe(2);
    await eventually(() => expect(told(client, "unsubscribed")).toMatchObject([{ channel: "room:1" }]), 30_000);
    expect(await client.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({ error: { code: "closed" } });
  });
});
