import { execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { runtimes } from "../../scripts/compatibility/versions.ts";
import { ownProcess } from "../support/child.ts";
import { startCluster } from "../support/cluster.ts";
import { apiKey } from "../support/gateway.ts";
import { repository } from "../support/source-tree.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";
import { environment, pack } from "./packed.ts";
import { serveRegistry } from "./registry.ts";

const folder = join(tmpdir(), `tidegate-runtimes-${randomUUID()}`);
const env = { ...environment(), BUN_INSTALL_CACHE_DIR: join(folder, "bun"), DENO_DIR: join(folder, "deno") };
const run = promisify(execFile);
const libraries = ["@tidegate/client", "@tidegate/publisher", "ioredis@5.9.2"];

/** The file that a project begins with, and how it adds libraries and runs a program. */
const projects = [
  { name: "Node", manifest: "package.json", add: ["npm", "install", ...libraries], program: [process.execPath] },
  ...runtimes.map(({ name, package: from, executable, run: words }) => {
    const path = join(folder, "node_modules", from, executable);
    const isDeno = name === "Deno";
    return {
      name,
      manifest: isDeno ? "deno.json" : "package.json",
      add: [path, "add", ...libraries.map((library) => (isDeno ? `npm:${library}` : library))],
      program: [path, ...words],
    };
  }),
];

/** What each reader of `cut-off.mjs` has received. */
const recovered = [
  ...["websocket", "polling"].map((transport) => ({
    transport,
    received: ["1", "2 recovered", "3 recovered", "4", "5"],
    asksForAnotherToken: true,
  })),
  { received: ["1", "2", "3", "4", "5"], openings: [false, true] },
];

type Project = (typeof projects)[number];

/** `npm run test:package` fetches the runtimes. */
describe.skipIf(process.env["PACKAGERS"] !== "all")("the packed client and publisher, added to a project of", () => {
  beforeAll(async () => {
    mkdirSync(folder);
    await pack(folder);
    await fetchRuntimes();
    const registry = await serveRegistry(folder);
    for (const project of projects) await addLibraries(project, registry.npmrc);
    registry.stop();
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("Node, Bun and Deno, recover what they missed while their node was killed", { timeout: 300_000 }, async () => {
    const { nodes, node, prefix, store, stop } = await startCluster({ nodes: 2 });
    onTestFinished(stop);
    const proxy = await startTcpProxy({ targets: () => nodes.filter((each) => each.isRunning()).slice(0, 1) });
    onTestFinished(() => proxy.stop());
    const args = [`http://127.0.0.1:${proxy.port}`, node(1).url, apiKey, store.env["REDIS_URL"] ?? "", prefix];
    const programs = projects.map((project) => start(project, args));
    const allSaid = (text: string) =>
      Promise.all(programs.map(({ output }) => eventually(() => expect(output()).toContain(text), 60_000)));

    await allSaid("subscribed\n");
    proxy.cut();
    await node(0).kill();
    await allSaid("missed\n");
    await proxy.heal();

    const expected = `subscribed\nmissed\n${JSON.stringify(recovered)}\n`;
    for (const { name, output, ended } of programs)
      expect([name, await ended, output()]).toEqual([name, { code: 0, signal: null }, expected]);
  });
});

async function fetchRuntimes(): Promise<void> {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }));
  const packages = runtimes.map((runtime) => `${runtime.package}@${runtime.version}`);
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], { cwd: folder, env });
}

async function addLibraries({ name, manifest, add: [command = "", ...words] }: Project, npmrc: string): Promise<void> {
  const cwd = join(folder, name);
  mkdirSync(cwd);
  writeFileSync(join(cwd, manifest), "{}");
  writeFileSync(join(cwd, ".npmrc"), npmrc);
  copyFileSync(join(repository, "test/package/cut-off.mjs"), join(cwd, "cut-off.mjs"));
  await run(command, words, { cwd, env });
}

function start({ name, program: [command = "", ...words] }: Project, args: readonly string[]) {
  const child = spawn(command, [...words, "cut-off.mjs", ...args], { cwd: join(folder, name), env });
  const own = ownProcess(child);
  onTestFinished(() => void own.kill());
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
  return { name, output: () => said, ended: own.ended };
}
