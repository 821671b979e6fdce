import { execFile, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { io, type Socket } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { chromiumPath } from "../../scripts/needs.ts";
import { launch } from "../browser/demo-page.ts";
import { environment, pack } from "../package/packed.ts";
import { ownProcess } from "../support/child.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { freePort } from "../support/redis-server.ts";
import { repository } from "../support/source-tree.ts";
import { eventually } from "../support/world.ts";

/** Examples with frameworks that are not dependencies of this project: `npm run test:examples` installs them. */
const isLong = process.env["EXAMPLES"] === "all";
const executablePath = chromiumPath();
const run = promisify(execFile);
let folder = "";

describe.skipIf(!isLong)("an example with dependencies of its own, installed in a fresh folder", () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "tidegate-examples-"));
    return pack(folder);
  }, 600_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(["fastify", "nestjs"])("%s serves a chat that recovers", { timeout: 600_000 }, async (name) => {
    const { url } = await start(await installed(name), ["npm", "start"]);
    const [ada, bob] = [connect(url), connect(url)];
    const texts: string[] = [];
    bob.on("chat message", (text: string) => texts.push(text));
    await eventually(() => expect([ada.connected, bob.connected]).toEqual([true, true]));
    await eventually(async () => {
      ada.emit("chat message", "one");
      expect(texts).toContain("one");
    });

    const back = new Promise((resolve) => bob.io.once("reconnect", resolve));
    bob.io.engine.close();
    ada.emit("chat message", "two");
    await back;
    ada.emit("chat message", "three");

    await eventually(() => expect(texts.slice(-3)).toEqual(["one", "two", "three"]));
    await eventually(() => expect(bob.recovered).toBe(true));
  });

  test.skipIf(executablePath === undefined)("vue shows a chat that recovers", { timeout: 600_000 }, async () => {
    const { url } = await start(await installed("vue"), ["npm", "start"]);

    await chatRecovers(url);
  });

  test.skipIf(executablePath === undefined)("nextjs shows a chat that recovers", { timeout: 600_000 }, async () => {
    const port = await freePort();
    const chat = { subscribe: "public", publish: "public", history: { size: 100, ttlSeconds: 60 } };
    const env = { ALLOWED_ORIGINS: `http://localhost:${port}` };
    const gateway = await startGateway({ file: { channels: { chat } }, env });
    const cwd = await installed("nextjs");
    await run("npm", ["run", "build"], { cwd, env: { ...environment(), NEXT_TELEMETRY_DISABLED: "1" } });
    const settings = { GATEWAY: gateway.url, API_KEY: apiKey, NEXT_TELEMETRY_DISABLED: "1" };
    const { url } = await start(cwd, ["npm", "start"], { port, env: settings });

    await chatRecovers(url);
  });
});

/** A copy whose packages of ours are those of this checkout. */
async function installed(name: string): Promise<string> {
  const cwd = join(folder, name);
  cpSync(join(repository, "examples", name), cwd, { recursive: true });
  const file = join(cwd, "package.json");
  const manifest = JSON.parse(readFileSync(file, "utf8")) as { dependencies: Record<string, string> };
  const ours = { tidegate: "tidegate", "@tidegate/client": "tidegate-client" };
  for (const [dependency, tarball] of Object.entries(ours))
    if (dependency in manifest.dependencies) manifest.dependencies[dependency] = `file:../${tarball}.tgz`;
  writeFileSync(file, JSON.stringify(manifest));
  await run("npm", ["install", "--no-audit", "--no-fund"], { cwd, env: environment() });
  return cwd;
}

async function start(
  cwd: string,
  [command = "", ...words]: readonly string[],
  { port, env = {} }: { port?: number; env?: Record<string, string> } = {},
) {
  const ownPort = port ?? (await freePort());
  const child = spawn(command, words, {
    cwd,
    env: { ...environment(), PORT: `${ownPort}`, LOG_LEVEL: "warn", ...env },
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  const own = ownProcess(child);
  onTestFinished(async () => {
    if (own.isRunning()) process.kill(-own.pid, "SIGKILL");
    await own.ended;
  });
  const url = `http://localhost:${ownPort}`;
  await eventually(async () => {
    if (!own.isRunning()) throw new Error(`ended: ${output}`);
    await fetch(url).catch(() => {
      throw new Error(`not up: ${output}`);
    });
  }, 120_000);
  return { url };
}

function connect(url: string): Socket {
  const socket = io(url, {
    forceNew: true,
    transports: ["websocket"],
    reconnectionDelay: 50,
    auth: { guest: crypto.randomUUID() },
  });
  onTestFinished(() => void socket.disconnect());
  return socket;
}

/** Two windows, of which one is offline while the other writes. */
async function chatRecovers(url: string): Promise<void> {
  const browser = await launch(executablePath ?? "");
  onTestFinished(() => browser.close());
  const [ada, bob] = [await openChat(browser, url), await openChat(browser, url)];
  await ada.write("one");
  await bob.shows(["one"]);

  await bob.setOffline(true);
  for (const text of ["two", "three"]) await ada.write(text);
  await ada.shows(["one", "two", "three"]);
  await bob.setOffline(false);

  await bob.shows(["one", "two", "three"]);
}

async function openChat(browser: Browser, url: string) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  await page.locator("#state").getByText("subscribed", { exact: true }).waitFor();
  return {
    setOffline: (isOffline: boolean) => context.setOffline(isOffline),
    async write(text: string) {
      await page.locator("#input").fill(text);
      await page.keyboard.press("Enter");
      await eventually(async () => expect(await page.locator("#input").inputValue()).toBe(""));
    },
    shows: (texts: string[]) =>
      eventually(async () => expect(await page.locator("#messages li").allTextContents()).toEqual(texts)),
  };
}
