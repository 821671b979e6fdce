import { Redis } from "ioredis";
import type { Cluster } from "./cluster.ts";
import type { RedisProcess } from "./redis-process.ts";
import { eventually } from "./world.ts";

/** What a server says of its replication. */
export const replication = async (server: RedisProcess): Promise<string> =>
  String(await server.ask("INFO", "replication"));

export const writtenBytes = (info: string): number => Number(/master_repl_offset:(\d+)/.exec(info)?.[1]);

/** Cuts its replicas off for good, while clients stay; resolves when it has taken writes that no replica will ever see. */
export async function turnReplicasAway({ url }: RedisProcess): Promise<void> {
  const redis = new Redis(url, { protocol: 2 });
  await redis.config("SET", "requirepass", "unknown");
  await redis.call("CLIENT", "KILL", "TYPE", "replica");
  const before = writtenBytes(await redis.info("replication"));
  await eventually(async () => {
    const written = writtenBytes(await redis.info("replication")) - before;
    if (written < 20_000) throw new Error(`the primary is only ${written} bytes ahead of its replicas`);
  });
  redis.disconnect();
}

/** Resolves when somebody else has the place. */
export async function another({ store }: Cluster, before: RedisProcess): Promise<void> {
  await eventually(async () => {
    if ((await store.primary()) === before) throw new Error("nobody has taken the place yet");
  }, 60_000);
}

/** Starts again who was killed in an earlier round, and waits until every replica follows. */
export async function inStep({ store }: Cluster): Promise<void> {
  await Promise.all(store.servers.filter((server) => !server.isRunning()).map((server) => server.restart()));
  if (store.topology === "single") return;
  await eventually(async () => {
    const roles = await Promise.all(store.servers.map(async (server) => String(await server.ask("ROLE"))));
    const following = roles.filter((role) => role.startsWith("slave") && role.includes("connected"));
    if (following.length < store.servers.length / 2) throw new Error(roles.join());
  }, 60_000);
}
