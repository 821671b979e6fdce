import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { developmentApiKey } from "../../src/config/credentials.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

/** How a project installs, and installs again from its lock. */
interface Packager {
  name: string;
  install: readonly string[];
  again: readonly string[];
}

const npm: Packager = { name: "the npm there is", install: ["npm", "install"], again: ["npm", "ci"] };

/** Of a version of its own, fetched for the occasion. */
function fetched(tool: string, install: readonly string[], again: readonly string[]): Packager {
  const run = ["npm", "exec", "--yes", `--package=${tool}`, "--"];
  return { name: tool, install: [...run, ...install], again: [...run, ...again] };
}

const packagers =
  process.env["PACKAGERS"] === "all"
    ? [
        npm,
        fetched("npm@10.9.9", ["npm", "install"], ["npm", "ci"]),
        fetched("npm@12.2.2", ["npm", "install"], ["npm", "ci"]),
        fetched("pnpm@12.21.0", ["pnpm", "install"], ["pnpm", "install", "--frozen-lockfile"]),
        fetched("yarn@1.22.22", ["yarn", "install"], ["yarn", "install", "--frozen-lockfile"]),
      ]
    : [npm];

/** A project that has Socket.IO, and another ioredis than ours, before it has us. */
const project = {
  name: "shop",
  version: "1.0.0",
  private: true,
  license: "UNLICENSED",
  type: "module",
  dependencies: {
    ioredis: "5.9.2",
    "socket.io": "4.8.4",
    tidegate: "file:../tidegate.tgz",
    "@tidegate/client": "file:../tidegate-client.tgz",
    "@tidegate/publisher": "file:../tidegate-publisher.tgz",
  },
};

/** What the project does with it: publishes and is told, beside the libraries of its own. */
const program = `
import { Redis } from "ioredis";
import { Server } from "socket.io";
import { connect } from "@tidegate/client";
import { defineContract } from "tidegate/contract";
import { createPublisher, overHttp } from "@tidegate/publisher";

const [url, apiKey] = process.argv.slice(2);
const signedIn = await fetch(url + "/v1/sessions", {
  method: "POST",
  headers: { authorization: "Bearer " + apiKey, "content-type": "application/json" },
  body: JSON.stringify({ userId: "ada" }),
});
const { token } = await signedIn.json();
const client = connect(url, { token });
const lobby = client.channel("chat:lobby");
const heard = new Promise((resolve) => lobby.on("publication", resolve));
await lobby.subscribe();
await createPublisher(overHttp({ url, apiKey })).publish({ channel: "chat:lobby", event: "message", data: { text: "Hello" } });
const { data } = await heard;
console.log([typeof Redis, typeof Server, typeof defineContract({}).events, data.text].join(" "));
process.exit(0);
`;

const folder = mkdtempSync(join(tmpdir(), "tidegate-package-"));
const env = environment();
const run = promisify(execFile);

beforeAll(pack, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(packagers)("with $name the packed package", ({ name, install, again }) => {
  test("installs twice without a warning, starts and publishes", { timeout: 300_000 }, async () => {
    const first = join(folder, `first-${name.replaceAll(/\W/g, "-")}`);
    mkdirSync(first);
    writeFileSync(join(first, "package.json"), JSON.stringify(project));
    expect(await said(install, first)).not.toMatch(/\bwarn|\berr/i);

    const second = `${first}-again`;
    cpSync(first, second, { recursive: true, filter: (path) => !path.includes("node_modules") });
    expect(await said(again, second)).not.toMatch(/\bwarn|\berr/i);

    expect(await publishes(second)).toBe("function function object Hello\n");
    expect(required(second)).toEqual({ connect: "function", overHttp: "function" });
    expect(versionOfWs(second)).toMatch(/^8\.(2[3-9]|[3-9]\d)\./);
  });
});

/** As `npm pack` does it, on a copy: what lies in this checkout stays as it is. */
async function pack(): Promise<void> {
  const copy = join(folder, "checkout");
  mkdirSync(copy);
  const { stdout } = await run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repository,
  });
  for (const file of stdout
    .split("\0")
    .filter((path) => /^(src|scripts|client|client-demo|console|docs|native|publisher)\/|^[^/]+$/.test(path))) {
    cpSync(join(repository, file), join(copy, file), { recursive: true });
  }
  symlinkSync(join(repository, "node_modules"), join(copy, "node_modules"));
  const packages = [".", "./client", "./publisher"];
  await run("npm", ["pack", ...packages], { cwd: copy, env });
  const { version } = JSON.parse(readFileSync(join(copy, "package.json"), "utf8")) as { version: string };
  for (const name of ["tidegate", "tidegate-client", "tidegate-publisher"])
    cpSync(join(copy, `${name}-${version}.tgz`), join(folder, `${name}.tgz`));
}

/** What a machine reaches its registry by, and nothing else: no setting of ours. The Node that runs the tests comes first. */
function environment(): NodeJS.ProcessEnv {
  const needed = /^(HOME|NODE_EXTRA_CA_CERTS|(https?|no)_proxy|npm_config_(registry|cafile|cache|userconfig))$/i;
  const kept = Object.entries(process.env).filter(([name]) => needed.test(name));
  return { ...Object.fromEntries(kept), PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"] ?? ""}` };
}

async function said([command = "", ...args]: readonly string[], cwd: string): Promise<string> {
  const { stdout, stderr } = await run(command, args, { cwd, env });
  // What npm has against the settings of the machine is not about the package.
  return (stdout + stderr).replaceAll(/^npm warn Unknown (env|user) config .*$/gm, "");
}

/** What the project's program prints beside a gateway that was started from where it is installed. */
async function publishes(cwd: string): Promise<string> {
  const node = spawn(join(cwd, "node_modules", ".bin", "tidegate"), ["start"], {
    cwd,
    env: { ...env, HOST: "127.0.0.1", PORT: "0" },
  });
  const ended = once(node, "close");
  onTestFinished(async () => {
    node.kill("SIGKILL");
    await ended;
  });
  let out = "";
  for (const stream of [node.stdout, node.stderr]) stream.on("data", (chunk) => (out += String(chunk)));
  const url = await eventually(() => {
    const [, found] = /up at (http:\S+)[\s\S]*curl/.exec(out) ?? [];
    if (found === undefined) throw new Error(`not up: ${out}`);
    return found;
  }, 60_000);
  writeFileSync(join(cwd, "program.js"), program);
  const { stdout } = await run(process.execPath, ["program.js", url, developmentApiKey.secret], {
    cwd,
    env,
    timeout: 60_000,
  });
  return stdout;
}

/** Of the `ws` that the gateway listens with, as it was installed: earlier ones pile up the answers to floods of pings. */
function versionOfWs(cwd: string): string {
  const listening = join(cwd, "node_modules", "tidegate", "dist", "engine", "websocket-receiver.js");
  return (createRequire(realpathSync(listening))("ws/package.json") as { version: string }).version;
}

/** The libraries by `require`, the publisher by its folder, as a resolver without `exports` finds it. */
function required(cwd: string): Record<string, string> {
  const load = createRequire(join(cwd, "program.js"));
  const { connect } = load("@tidegate/client") as Record<string, unknown>;
  const { overHttp } = load(join(cwd, "node_modules", "@tidegate", "publisher")) as Record<string, unknown>;
  return { connect: typeof connect, overHttp: typeof overHttp };
}
