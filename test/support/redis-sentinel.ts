import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tlsSettings, type CertificateFiles } from "./certificate-files.ts";
import { ownProcess, type OwnProcess } from "./child.ts";
import { askRedis, startRedisProcess, type RedisProcess } from "./redis-process.ts";
import { freePort } from "./redis-server.ts";
import { eventually } from "./world.ts";

/** A primary, a replica and three sentinels that promote it: real processes on loopback. */
export interface SentinelStore {
  readonly name: string;
  readonly sentinels: readonly { host: string; port: number }[];
  readonly servers: readonly RedisProcess[];
  /** Whom the sentinels name now. */
  primary(): Promise<RedisProcess>;
  stop(): Promise<void>;
}

export interface SentinelOptions {
  args: readonly string[];
  /** Milliseconds of silence after which a sentinel takes the primary for dead. */
  downAfterMs: number;
  /** Then `sentinels` are addresses that speak TLS. */
  tls?: CertificateFiles | undefined;
}

export async function startSentinelStore({ args, downAfterMs, tls }: SentinelOptions): Promise<SentinelStore> {
  const first = await startRedisProcess({ args, tls });
  const second = await startRedisProcess({ args: [...args, "--replicaof", "127.0.0.1", `${first.tlsPort}`], tls });
  const servers = [first, second];
  await eventually(async () => {
    if (!String(await second.ask("ROLE")).includes("connected")) throw new Error("the replica is not in step");
  });
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(first.tlsPort, downAfterMs, tls)));
  const ports = sentinels.map(({ port }) => port);
  await Promise.all(ports.map((port) => eventually(() => knowsAll(port))));
  return {
    name,
    sentinels: sentinels.map(({ tlsPort }) => ({ host: tls === undefined ? "127.0.0.1" : "localhost", port: tlsPort })),
    servers,
    async primary() {
      const [, port] = (await askRedis(ports[0] ?? 0, ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name])) as string[];
      const primary = servers.find((server) => `${server.tlsPort}` === port);
      if (primary === undefined) throw new Error(`the sentinels name a stranger: ${port}`);
      return primary;
    },
    async stop() {
      await Promise.all([...sentinels, ...servers].map((process) => process.stop()));
    },
  };
}

const name = "main";

async function startSentinel(
  primaryPort: number,
  downAfterMs: number,
  tls: CertificateFiles | undefined,
): Promise<OwnProcess & { port: number; tlsPort: number }> {
  const port = await freePort();
  const tlsPort = tls === undefined ? port : await freePort();
  const folder = mkdtempSync(join(tmpdir(), "tidegate-sentinel-"));
  const file = join(folder, "sentinel.conf");
  const settings = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${folder}`,
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 3000`,
    ...(tls === undefined ? [] : tlsSettings(tls, tlsPort).map((setting) => setting.join(" "))),
  ];
  writeFileSync(file, settings.join("\n"));
  const own = ownProcess(spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" }));
  await eventually(() => askRedis(port, ["PING"]));
  void own.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  return { ...own, port, tlsPort };
}

/** A sentinel can only promote a replica it knows and finds in step, and only with the others' votes. */
async function knowsAll(port: number): Promise<void> {
  const replicas = String(await askRedis(port, ["SENTINEL", "REPLICAS", name]));
  if (!replicas.includes("master-link-status,ok")) throw new Error("the sentinel does not know the replica yet");
  const others = (await askRedis(port, ["SENTINEL", "SENTINELS", name])) as unknown[];
  if (others.length < 2) throw new Error("the sentinel does not know the others yet");
}
