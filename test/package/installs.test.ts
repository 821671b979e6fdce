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
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { io, type Socket } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { chromiumPath, needs } from "../../scripts/needs.ts";
import { developmentApiKey } from "../../src/config/credentials.ts";
import { launch } from "../browser/demo-page.ts";
import { freePort } from "../support/redis-server.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";
import { environment, pack } from "./packed.ts";
import { follow, type Running } from "./page-steps.ts";

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

/** What a project in TypeScript does with the libraries, as a module and in CommonJS. */
const typed = `
import { createElement, type ReactElement } from "react";
import { connect, TidegateError, type Channel, type Client } from "@tidegate/client";
import { connect as connectChannels, type Channel as LightChannel, type ChannelClient } from "@tidegate/client/channels";
import { TidegateProvider, useChannel, type ShownChannel } from "@tidegate/client/react";
import { createPublisher, overHttp, PublisherError, type HttpPublisher } from "@tidegate/publisher";

interface Chat {
  said: { text: string };
}
const [url, token] = ["http://127.0.0.1", "token"];
const client: Client = connect(url, { token });
const lobby: Channel<Chat> = client.channel<Chat>("chat:lobby");
lobby.on("publication", ({ data }) => data.text.length);
// @ts-expect-error A text is no number.
lobby.publish("said", { text: 1 }).catch((error) => error instanceof TidegateError && error.code === "timeout");

const light: ChannelClient = connectChannels(url, { token });
export const channels: LightChannel<Chat>[] = [lobby, light.channel<Chat>("chat:lobby")];
// @ts-expect-error It has no boards.
light.leaderboard("weekly");

const textOf = ({ publications }: ShownChannel<Chat>) => publications.map(({ data }) => data.text).join();
function Lobby(): ReactElement {
  const { publish, ...shown } = useChannel<Chat>("chat:lobby");
  // @ts-expect-error A text is no number.
  const say = () => publish("said", { text: 1 });
  return createElement("p", { onClick: say }, textOf(shown));
}
export const page = createElement(TidegateProvider, { client }, createElement(Lobby));

const publisher: HttpPublisher = createPublisher(overHttp({ url, apiKey: "key" }));
const published = publisher.publish({ channel: "chat:lobby", event: "said", data: { text: "Hello" } });
published.then(({ offset }) => offset, (error) => error instanceof PublisherError && error.attempts);
// @ts-expect-error A channel has a name.
publisher.publish({ event: "said", data: {} });
`;

/** The same of the server, which is a module only. */
const typedServer = `
import { createGateway, defineContract, GatewayError, type Gateway } from "tidegate";
import { createTestGateway } from "tidegate/testing";

const chat = { subscribe: "public", deliver: "event" } as const;
export async function main(): Promise<Gateway> {
  const gateway = await createGateway({ channels: { chat } });
  gateway.on("greet", ({ user }, name: string) => user.userId + name);
  gateway.io.on("connection", (socket) => void socket.join("chat:lobby"));
  const { offset } = await gateway.publish({ channel: "chat:lobby", event: "said", data: 1 });
  // @ts-expect-error A channel has a name.
  await gateway.publish({ event: "said", data: offset });
  return gateway;
}
export const used = [defineContract({}), GatewayError, createTestGateway];
`;

const folder = mkdtempSync(join(tmpdir(), "tidegate-package-"));
const env = environment();
const executablePath = chromiumPath();
const run = promisify(execFile);

beforeAll(() => pack(folder), 600_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(packagers)("with $name the packed package", ({ name, install, again }) => {
  test("installs twice without a warning, starts, publishes and has types", { timeout: 300_000 }, async () => {
    const first = join(folder, `first-${name.replaceAll(/\W/g, "-")}`);
    mkdirSync(first);
    writeFileSync(join(first, "package.json"), JSON.stringify(project));
    expect(await said(install, first)).not.toMatch(/\bwarn|\berr/i);

    const second = `${first}-again`;
    cpSync(first, second, { recursive: true, filter: (path) => !path.includes("node_modules") });
    expect(await said(again, second)).not.toMatch(/\bwarn|\berr/i);

    expect(await publishes(second)).toBe("function function object Hello\n");
    expect(required(second)).toEqual({ connect: "function", channels: "function", overHttp: "function" });
    expect(await compiled(second)).toEqual({ nodenext: "", bundler: "" });
    expect(versionOfWs(second)).toMatch(/^8\.(2[3-9]|[3-9]\d)\./);
  });
});

describe("docs/first-hour.md, followed in fresh folders", () => {
  /** A reader of a chapter, and the address of what the page has at a port. */
  async function reader(heading: string, ...pagePorts: string[]) {
    const ports: Record<string, number> = {};
    for (const port of pagePorts) ports[port] = await freePort();
    const place = { folder, env: { ...env, HOST: "127.0.0.1", PORT: String(ports["3000"]) }, ports };
    const steps = follow("docs/first-hour.md", heading, place);
    onTestFinished(() => steps.stop());
    return { ...steps, urlOf: (port = "3000") => `http://127.0.0.1:${ports[port]}` };
  }

  test.skipIf(executablePath === undefined)("shows a chat whose window recovers", { timeout: 300_000 }, async () => {
    const { untilRunning, urlOf } = await reader("Ten minutes", "3000");
    const server = await untilRunning();
    await answers(urlOf(), server);
    const browser = await launch(executablePath ?? "");
    onTestFinished(() => browser.close());
    const ada = await openChat(browser, `${urlOf()}/?ada`);
    const bob = await openChat(browser, `${urlOf()}/?bob`);
    await ada.write("one");
    await bob.shows(["one"]);

    await bob.setOffline(true);
    await bob.state.getByText("offline").waitFor();
    for (const text of ["two", "three", "four"]) await ada.write(text);
    await ada.shows(["one", "two", "three", "four"]);
    await bob.setOffline(false);

    await bob.state.getByText("recovered").waitFor();
    await bob.shows(["one", "two", "three", "four"]);
  });

  test("moves in the to-do list, which then loses nothing", { timeout: 300_000 }, async () => {
    const { untilRunning, urlOf } = await reader("Twenty minutes", "3000");
    const stock = await untilRunning();
    expect(await seenAfterACut(urlOf(), stock)).toEqual(["before", "after"]);
    await stock.interrupt();

    const moved = await untilRunning();

    expect(await seenAfterACut(urlOf(), moved)).toEqual(["before", "meanwhile", "after"]);
    const example = (file: string) => readFileSync(join(repository, "examples", "todo", file), "utf8");
    const own = (file: string) => readFileSync(join(folder, "moving", "todo", file), "utf8");
    expect(own("server.ts")).toBe(example("server.ts").replace("index.html", "index.stock.html"));
    expect(own("index.stock.html")).toBe(example("index.html"));
  });

  test.skipIf(!needs.redis.isInstalled())("runs two nodes in production", { timeout: 300_000 }, async () => {
    const { untilRunning, runNext, urlOf } = await reader("Thirty minutes", "3000", "3001", "6379", "9090", "9091");
    await untilRunning();
    const [one, two] = [await untilRunning(), await untilRunning()];
    await answers(`${urlOf()}/readyz`, one);
    await answers(`${urlOf("3001")}/readyz`, two);
    expect(await runNext()).toMatch(/ready[^]*ready/);
    const client = await untilRunning();
    await eventually(() => expect(client.output()).toMatch(/^connected\n[^]*recovered: false/));
    expect(await runNext()).toMatch(/"offset":1,"duplicate":false[^]*"offset":1,"duplicate":true/);
    await eventually(() => expect(client.output()).toMatch(/^1 it works$/m));

    expect(await one.interrupt()).toBe(0);
    await runNext();
    await answers(`${urlOf()}/readyz`, one.again());

    await eventually(() => expect(client.output()).toMatch(/\nrecovered\n2 while you were away\n$/));
  });
});

/** Resolves when this is answered with 200. */
async function answers(url: string, { output }: Running): Promise<void> {
  await eventually(async () => {
    const { status } = await fetch(url).catch(() => ({ status: 0 }));
    if (status !== 200) throw new Error(`${url} answers ${status}: ${output()}`);
  }, 60_000);
}

async function openChat(browser: Browser, url: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  const state = page.locator("#state");
  await state.getByText("connected").waitFor();
  return {
    state,
    setOffline: (isOffline: boolean) => context.setOffline(isOffline),
    async write(text: string) {
      await page.locator("#input").fill(text);
      await page.keyboard.press("Enter");
    },
    shows: (texts: string[]) =>
      eventually(async () => expect(await page.locator("#messages li").allTextContents()).toEqual(texts)),
  };
}

/** Titles that a page of the to-do list is told, of which the second was added while it was cut off. */
async function seenAfterACut(url: string, server: Running): Promise<string[]> {
  await answers(url, server);
  const [writer, reader] = [clientOf(url), clientOf(url)];
  const titles: string[] = [];
  reader.on("todo:created", ({ title }) => titles.push(title));
  const add = (title: string) => writer.emitWithAck("todo:create", { title, completed: false });
  await Promise.all([reader.emitWithAck("todo:list"), writer.emitWithAck("todo:list")]);
  await add("before");
  await eventually(() => expect(titles).toEqual(["before"]));

  // It comes back only when the second was added, however long that takes.
  reader.io.reconnection(false);
  reader.io.engine.close();
  await add("meanwhile");
  reader.connect();
  await eventually(() => expect(reader.connected).toBe(true));
  await add("after");

  await eventually(() => expect(titles).toContain("after"));
  return titles;
}

function clientOf(url: string): Socket {
  const socket = io(url, { forceNew: true, auth: { guest: crypto.randomUUID() }, transports: ["websocket"] });
  onTestFinished(() => void socket.disconnect());
  return socket;
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
  const { connect: channels } = load("@tidegate/client/channels") as Record<string, unknown>;
  const { overHttp } = load(join(cwd, "node_modules", "@tidegate", "publisher")) as Record<string, unknown>;
  return { connect: typeof connect, channels: typeof channels, overHttp: typeof overHttp };
}

/** What the compiler says of the project in TypeScript, by how it resolves modules. */
async function compiled(cwd: string): Promise<Record<"nodenext" | "bundler", string>> {
  const types = join("node_modules", "@types");
  mkdirSync(join(cwd, types), { recursive: true });
  symlinkSync(join(repository, types, "react"), join(cwd, types, "react"));
  for (const file of ["typed.mts", "typed.cts"]) writeFileSync(join(cwd, file), typed);
  writeFileSync(join(cwd, "server.mts"), typedServer);
  return {
    nodenext: await compile(cwd, ["--module", "nodenext", "typed.mts", "typed.cts", "server.mts"]),
    bundler: await compile(cwd, ["--module", "esnext", "--moduleResolution", "bundler", "typed.mts", "server.mts"]),
  };
}

async function compile(cwd: string, args: string[]): Promise<string> {
  const tsc = join(repository, "node_modules", "typescript", "bin", "tsc");
  const command = [tsc, "--noEmit", "--strict", "--target", "es2022", "--pretty", "false", ...args];
  const { stdout } = await run(process.execPath, command, { cwd, env }).catch((failed: { stdout: string }) => failed);
  return stdout;
}
