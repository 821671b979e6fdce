import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { tlsSettings, type CertificateFiles } from "./certificate-files.ts";
import { ownProcess, type OwnProcess } from "./child.ts";
import { freePort } from "./redis-server.ts";
import { eventually } from "./world.ts";

/** A redis-server that can be killed, frozen and started again with what it had on disk. */
export interface RedisProcess extends OwnProcess {
  readonly port: number;
  readonly url: string;
  /** Where it keeps what it has. */
  readonly folder: string;
  /** Where it speaks TLS; the plain port where it does not. */
  readonly tlsPort: number;
  /** One command on a connection of its own. */
  ask(...command: (string | number)[]): Promise<unknown>;
  /** The same server again: port, folder and arguments. Resolves when it answers. */
  restart(): Promise<void>;
}

export interface RedisProcessOptions {
  port?: number;
  /** Further arguments, such as `["--appendonly", "yes"]`. */
  args?: readonly string[];
  /** A second port for clients with a certificate; the plain one stays for the test. */
  tls?: CertificateFiles | undefined;
}

/** No snapshots, replicas that are in step at once, faults on command. */
const always = ["--save", "", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "local"];

/** Starts a server on loopback; the caller stops it, which removes its folder. */
export async function startRedisProcess({ port, args = [], tls }: RedisProcessOptions = {}): Promise<RedisProcess> {
  const ownPort = port ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), "tidegate-redis-"));
  const tlsPort = tls === undefined ? ownPort : await freePort();
  const tlsWords = tls === undefined ? [] : tlsSettings(tls, tlsPort).flatMap(([name, value]) => [`--${name}`, value]);
  const words = ["--port", `${ownPort}`, "--bind", "127.0.0.1", "--dir", folder, ...always, ...tlsWords, ...args];
  const start = (): OwnProcess => ownProcess(spawn("redis-server", words, { stdio: "ignore" }));
  const ask: RedisProcess["ask"] = (...command) => askRedis(ownPort, command);
  const answers = (): Promise<unknown> => eventually(() => ask("PING"));

  let current = start();
  await answers();
  return {
    port: ownPort,
    url: `redis://127.0.0.1:${ownPort}`,
    tlsPort,
    folder,
    ask,
    async restart() {
      if (current.isRunning()) await current.stop();
      current = start();
      await answers();
    },
    get pid() {
      return current.pid;
    },
    get ended() {
      return current.ended;
    },
    isRunning: () => current.isRunning(),
    get isFrozen() {
      return current.isFrozen;
    },
    signal: (signal) => current.signal(signal),
    kill: () => current.kill(),
    freeze: () => current.freeze(),
    thaw: () => current.thaw(),
    async stop() {
      const ended = await current.stop(1_000);
      rmSync(folder, { recursive: true, force: true });
      return ended;
    },
  };
}

/** One command to whatever speaks Redis on a port of loopback: a server, a sentinel, a proxy. */
export async function askRedis(
  port: number,
  [name = "PING", ...words]: readonly (string | number)[],
): Promise<unknown> {
  const client = new Redis(port, "127.0.0.1", {
    lazyConnect: true,
    protocol: 2,
    enableReadyCheck: false,
    retryStrategy: () => null,
    connectTimeout: 10_000,
    commandTimeout: 10_000,
  });
  client.on("error", () => undefined);
  try {
    return await client.call(String(name), ...words.map(String));
  } finally {
    client.disconnect();
  }
}
