import { expect, test } from "vitest";
import { startNodeProcess } from "../support/node-process.ts";
import { owned } from "../support/owned.ts";
import { startRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const roles = ["commands", "subscriber", "control-publisher", "control-subscriber", "blocking", "bridges"];

/** How many connections of nodes a server has, by role. */
async function connectionsOf(server: RedisProcess): Promise<Record<string, number>> {
  const list = String(await server.ask("CLIENT", "LIST"));
  const names = [...list.matchAll(/ name=\S*tidegate:([\w-]+):/g)].map(([, role = ""]) => role);
  return Object.fromEntries(roles.map((role) => [role, names.filter((name) => name === role).length]));
}

test.each<[what: string, fail: (old: RedisProcess, successor: RedisProcess) => Promise<unknown> | void]>([
  ["was demoted", (old, successor) => old.ask("REPLICAOF", "127.0.0.1", successor.port)],
  ["goes on taking writes", () => undefined],
  ["hangs", (old) => old.freeze()],
])("every connection follows a name to its new primary, where the old one %s", async (_, fail) => {
  const old = owned(await startRedisProcess());
  const successor = owned(await startRedisProcess({ args: ["--replicaof", "127.0.0.1", `${old.port}`] }));
  let primary = old;
  const name = owned(await startTcpProxy({ targets: () => [primary] }));
  const env = { REDIS_URL: `redis://127.0.0.1:${name.port}`, KEY_PREFIX: freshPrefix() };
  const node = owned(await startNodeProcess({ nodeId: "node-1", env }));
  const before = await eventually(async () => {
    const connections = await connectionsOf(old);
    expect(Object.values(connections)).not.toContain(0);
    return connections;
  });
  await eventually(async () => expect(String(await successor.ask("INFO"))).toContain("master_link_status:up"));

  await successor.ask("REPLICAOF", "NO", "ONE");
  primary = successor;
  await fail(old, successor);

  await eventually(async () => expect(await connectionsOf(successor)).toEqual(before), 60_000);
  if (old.isRunning()) old.thaw();
  await eventually(async () => expect(Object.values(await connectionsOf(old))).toEqual(roles.map(() => 0)));
  const body = { channel: "user:ada", event: "said", data: 1 };
  await eventually(async () => expect((await node.call("POST", "/v1/publish", body)).status).toBe(200));
});
