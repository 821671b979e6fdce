import { readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { connectClient, told } from "../support/gateway.ts";
import { createCertificateFiles } from "../support/certificate-files.ts";
import { repository } from "../support/source-tree.ts";
import type { RedisProcess } from "../support/redis-process.ts";
import { topologies } from "../support/store-lab.ts";
import { useCluster } from "../support/use-cluster.ts";
import { eventually } from "../support/world.ts";

const certificate = createCertificateFiles("DNS:localhost");
afterAll(() => certificate.stop());

/** The rule that the documentation gives, for this prefix and with this password. */
const documentedRule = (): string[] => {
  const page = readFileSync(`${repository}/docs/settings.md`, "utf8");
  const [, rule = ""] = /^ACL SETUSER tidegate (on >password .*)$/m.exec(page) ?? [];
  return rule.replace(">password", ">secret").split(" ");
};

const file = {
  channels: { chat: { subscribe: "public", publish: "public", presence: true } },
  leaderboards: { "*": { season: "daily" } },
  webhooks: [{ url: "http://127.0.0.1:9/none", secret: "x".repeat(32), events: ["order.status", "channel.occupied"] }],
};

describe.each(topologies)("a node on %s over TLS, with a client certificate and the documented rights", (topology) => {
  const cluster = useCluster({
    topology,
    nodes: 1,
    prefix: "gateway",
    file,
    store: {
      tls: certificate,
      login: "tidegate:secret",
      args: ["--user", "tidegate", ...documentedRule(), "--tls-auth-clients", "yes"],
    },
  });

  test("serves, and sends nothing without TLS", async () => {
    const one = cluster().node(0);
    const reader = await connectClient(one.url, (await one.signIn("ada")).token);
    const ok = { ok: true };
    expect(await reader.emitWithAck("subscribe", { channel: "chat:x" })).toMatchObject(ok);
    expect(await reader.emitWithAck("presence", { channel: "chat:x" })).toMatchObject(ok);
    expect(await reader.emitWithAck("history", { channel: "chat:x" })).toMatchObject(ok);

    const publication = { channel: "chat:x", event: "said", data: 1, idempotencyKey: "one" };
    expect((await one.call("POST", "/v1/publish", publication)).status).toBe(200);
    await eventually(() => expect(told(reader, "publication")).toMatchObject([{ data: 1 }]));
    for (const [method, path, body] of writes) {
      const { status, body: answer } = await one.call(method, path, body);
      expect([path, status < 300, answer]).toEqual([path, true, answer]);
    }
    const { status } = await one.call("DELETE", "/v1/users/ada/sessions");
    expect(status).toBe(200);
    await eventually(() => expect(reader.connected).toBe(false));

    const { servers } = cluster().store;
    for (const server of servers) {
      expect([[], [`${server.tlsPort}`]]).toContainEqual(await portsOf(server));
      expect(await server.ask("ACL", "LOG")).toEqual([]);
    }
    for (const node of cluster().nodes) expect(node.log()).not.toMatch(/NOPERM|no permissions/);
  });
});

const order = { orderId: "o-1", parties: { customer: "ada" } };
const writes: [method: string, path: string, body?: object][] = [
  ["PUT", "/v1/leaderboards/race/scores/ada", { score: 3 }],
  ["GET", "/v1/leaderboards/race"],
  ["POST", "/v1/orders", order],
  ["POST", "/v1/orders/o-1/events", { status: "confirmed" }],
  ["POST", "/v1/orders/o-1/signals", { name: "location", data: {} }],
  ["GET", "/v1/channels?prefix=chat:"],
  ["GET", "/v1/channels/chat:x/history"],
];

/** The ports on which nodes reach a server: none where it is the sentinels' replica. */
async function portsOf(server: RedisProcess): Promise<string[]> {
  const list = String(await server.ask("CLIENT", "LIST"));
  const lines = list.split("\n").filter((line) => line.includes("user=tidegate"));
  const ports = new Set(lines.map((line) => / laddr=\S+:(\d+) /.exec(line)?.[1] ?? ""));
  return [...ports];
}
