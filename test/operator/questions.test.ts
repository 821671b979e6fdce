import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";

const admin = "admin-secret-of-at-least-thirty-two-bytes";
const file = {
  channels: { chat: { subscribe: "public" }, feed: { subscribe: "public" }, private: { subscribe: "granted" } },
  limits: { outboundQueueBytes: 64 * 1_048_576 },
};
const startNode = (nodeId: string, prefix: string): Promise<TestGateway> =>
  startGateway({ prefix, file, env: { NODE_ID: nodeId, OPERATORS: `ada:${admin}:admin` } });

/** As an operator on a terminal would. */
async function curl(url: string, ...more: string[]): Promise<any> {
  const words = ["-sS", "-H", `Authorization: Bearer ${admin}`, ...more, url];
  const { stdout } = await promisify(execFile)("curl", words, { maxBuffer: 64 * 1_048_576 });
  return JSON.parse(stdout);
}

/** Stops reading from the network. */
function stall(client: Client): void {
  const { ws } = client.io.engine.transport as unknown as { ws: { pause(): void } };
  ws.pause();
}

test("curl answers where, why, which channel, what the last deployment did, and replays dead letters of one kind", async () => {
  const prefix = freshPrefix();
  const [n1, n2] = await Promise.all([startNode("n1", prefix), startNode("n2", prefix)]);
  const api = `${n1.url}/v1/operator`;
  const alice = await n2.connect((await n1.signIn("alice")).token);
  await alice.emitWithAck("subscribe", { channel: "chat:1" });
  const slow = await n1.connect((await n1.signIn("slow")).token);
  await slow.emitWithAck("subscribe", { channel: "feed:large" });
  await eventually(async () => expect((await curl(`${api}/overview`)).nodes).toHaveLength(2));

  // Where is Alice connected?
  expect((await curl(`${api}/users/alice`)).connections).toMatchObject([{ connectionId: alice.id, nodeId: "n2" }]);

  // Why was she refused?
  await alice.emitWithAck("subscribe", { channel: "private:1" });
  const { refusals } = await curl(`${api}/refusals?user=alice`);
  expect(refusals).toMatchObject([{ code: "forbidden", rule: "grant", channel: "private:1", at: expect.any(Number) }]);
  const json = ["-X", "POST", "-H", "Content-Type: application/json", "-d"];
  const why = await curl(`${api}/why`, ...json, '{"userId":"alice","channel":"private:1"}');
  expect([why.allowed, why.code]).toEqual([false, "forbidden"]);

  // Which channel fills the queues?
  stall(slow);
  const data = "x".repeat(60_000);
  await eventually(async () => {
    const publication = { channel: "feed:large", event: "frame", data };
    await Promise.all(Array.from({ length: 10 }, () => n1.call("POST", "/v1/publish", publication)));
    const [first] = (await curl(`${api}/connections?sort=queue&limit=1`)).connections;
    expect(first.queuedBytes).toBeGreaterThan(0);
    expect(first).toMatchObject({ userId: "slow", channels: [{}, { channel: "feed:large" }] });
    const { subscribers } = await curl(`${api}/channels/feed:large`);
    expect(subscribers).toMatchObject([{ nodeId: "n1", queuedBytes: expect.any(Number) }]);
  });

  // Replay yesterday's dead letters of one kind
  const { redis } = await redisWorld();
  for (const command of ['{"type":"order.event","orderId":"o-1","status":"confirmed"}', "no JSON"])
    await redis.connection("commands").xadd(`${prefix}:commands`, "*", "command", command);
  await eventually(async () => expect((await curl(`${api}/dead-letters`)).letters).toHaveLength(2));
  await n1.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice" } });
  const since = Date.now() - 86_400_000;
  const filter = JSON.stringify({ filter: { type: "order.event", since } });
  expect(await curl(`${api}/dead-letters/replay`, ...json, filter)).toEqual({ done: 1, missing: 0, more: false });

  // What did the last deployment do?
  const before = Date.now();
  await curl(`${api}/nodes/n2/drain`, "-X", "POST");
  await n2.gateway.drainRequested;
  await n2.gateway.drain();
  await startNode("n2", prefix);
  await eventually(async () => {
    const { nodes } = await curl(`${api}/overview`);
    expect(nodes).toMatchObject([
      { nodeId: "n1", version: expect.any(String) },
      { nodeId: "n2", version: expect.any(String) },
    ]);
    expect(nodes[1].startedAt).toBeGreaterThanOrEqual(before);
    const [last] = (await curl(`${api}/audit?limit=1`)).entries;
    expect(last).toMatchObject({ by: "ada", act: "drainNode", target: { nodeId: "n2" } });
  });
});
