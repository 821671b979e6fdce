import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, onTestFinished } from "vitest";
import type { RedisAddress } from "../../../src/redis/connections.ts";
import { accepts, freePort, startRedisServer, type RedisServer } from "../../support/redis-server.ts";
import { eventually } from "../../support/world.ts";

/** A primary, a replica and a sentinel that promotes it: real processes on loopback. */
export interface WatchedStore {
  address: RedisAddress;
  primary: RedisServer;
  replica: RedisServer;
  /** Resolves when the replica has everything written before the call: replication is asynchronous, and may lag on a busy machine. */
  inStep(): Promise<void>;
}

export async function startWatchedStore(): Promise<WatchedStore> {
  const primary = await startRedisServer();
  onTestFinished(() => primary.stop());
  const replica = await startRedisServer({ args: ["--replicaof", "127.0.0.1", `${primary.port}`] });
  onTestFinished(() => replica.stop());
  const port = await freePort();
  await startSentinel(port, primary.port);
  await eventually(() => isWatched(port));
  return {
    address: { topology: "sentinel", name: "main", sentinels: [{ host: "127.0.0.1", port }] },
    primary,
    replica,
    inStep: () => inStep(primary.port),
  };
}

async function inStep(primaryPort: number): Promise<void> {
  const client = new Redis(primaryPort, "127.0.0.1");
  try {
    await client.set("in-step", "1");
    await eventually(async () => expect(await client.wait(1, 1_000)).toBe(1));
  } finally {
    client.disconnect();
  }
}

async function startSentinel(port: number, primaryPort: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tidegate-sentinel-"));
  const file = join(folder, "sentinel.conf");
  const settings = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${folder}`,
    `sentinel monitor main 127.0.0.1 ${primaryPort} 1`,
    "sentinel down-after-milliseconds main 500",
    "sentinel failover-timeout main 3000",
  ];
  await writeFile(file, settings.join("\n"));
  const sentinel: ChildProcess = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
  onTestFinished(async () => {
    sentinel.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  await accepts(port, sentinel);
}

/** The sentinel can only promote a replica it knows and finds in step. */
async function isWatched(port: number): Promise<void> {
  const sentinel = new Redis(port, "127.0.0.1", { lazyConnect: true });
  try {
    const replicas = String(await sentinel.call("SENTINEL", "REPLICAS", "main"));
    if (!replicas.includes("master-link-status,ok")) throw new Error("the sentinel does not know the replica yet");
  } finally {
    sentinel.disconnect();
  }
}
