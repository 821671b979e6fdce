import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { postgresPath } from "../../scripts/needs.ts";
import { ownProcess, type OwnProcess } from "./child.ts";
import { freePort } from "./redis-server.ts";
import { repository } from "./source-tree.ts";
import { eventually } from "./world.ts";

/** A Postgres of a test's own, on loopback, which can be killed and started again with what it had on disk. */
export interface PostgresProcess {
  /** An empty database with the outbox's tables. */
  createOutbox(): Promise<OutboxDatabase>;
  /** As if the power had failed. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface OutboxDatabase {
  readonly url: string;
  /** Runs a statement on a connection of its own, again until Postgres takes it. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
}

/** Postgres refuses to run as root. */
const user = process.getuid?.() === 0 ? userCalled("postgres") : undefined;

function userCalled(name: string): { uid: number; gid: number } {
  const id = (option: string): number => Number(execFileSync("id", [option, name], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

export async function startPostgresProcess(): Promise<PostgresProcess> {
  const bin = postgresPath() as string;
  const folder = mkdtempSync(join(tmpdir(), "tidegate-postgres-"));
  chmodSync(folder, 0o700);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const initialize = ["-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"];
  execFileSync(join(bin, "initdb"), initialize, { ...user, cwd: folder, stdio: "ignore" });
  const port = await freePort();
  const settings = ["-h", "127.0.0.1", "-p", `${port}`, "-k", folder, "-c", "fsync=off"];
  const urlOf = (database: string): string => `postgres://test@127.0.0.1:${port}/${database}`;
  let current: OwnProcess | undefined;
  let databases = 0;

  async function start(): Promise<void> {
    current = ownProcess(
      spawn(join(bin, "postgres"), ["-D", data, ...settings], { ...user, cwd: folder, stdio: "ignore" }),
    );
    await eventually(() => query(urlOf("postgres"), "SELECT 1"));
  }

  await start();
  return {
    start,
    async createOutbox() {
      const url = urlOf(`outbox_${(databases += 1)}`);
      await query(urlOf("postgres"), `CREATE DATABASE outbox_${databases}`);
      await query(url, readFileSync(join(repository, "deploy", "outbox.sql"), "utf8"));
      return { url, query: (text, values) => eventually(() => query(url, text, values)) };
    },
    async kill() {
      // To the children as well: an immediate shutdown, without a checkpoint.
      current?.signal("SIGQUIT");
      await current?.ended;
    },
    async stop() {
      await current?.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function query(url: string, text: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]> {
  const client = new Client({
    connectionString: url,
    application_name: "test",
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
    keepAlive: false,
  });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
