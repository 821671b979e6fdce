import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Browser, Page } from "playwright-core";
import { build, type Rolldown } from "vite";
import { chromiumPath } from "../../scripts/needs.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";
import { launch, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined) console.error("CHROMIUM IS MISSING: React's hooks are not tested in a browser.");

const file = {
  channels: {
    chat: { subscribe: "public", publish: "public", presence: true, history: { size: 100, ttlSeconds: 60 } },
    board: { subscribe: "public", publish: "public", state: true },
    answer: { subscribe: "public", merge: "append" },
  },
  leaderboards: { daily: { clientWrites: true } },
};

describe.skipIf(executablePath === undefined)("React's hooks", () => {
  let browser: Browser;
  let program: string;
  beforeAll(async () => {
    browser = await launch(executablePath ?? "");
    program = await bundle("react-app.tsx");
  }, startMs);
  afterAll(() => browser?.close());

  test("share a subscription, show what changes, recover, and end with their components", async () => {
    const origin = await serve(program);
    const gateway = await startGateway({ file, env: { ALLOWED_ORIGINS: origin } });
    const line = await startTcpProxy({ targets: () => [{ port: Number(new URL(gateway.url).port) }] });
    onTestFinished(() => line.stop());
    await say(gateway, "earlier");
    await tell(gateway, "token", "The tide ");
    await gateway.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
    const { token } = await gateway.signIn("ada");
    const page = await browser.newPage();
    onTestFinished(() => page.close());

    await page.goto(`${origin}/?token=${token}&gateway=http://127.0.0.1:${line.port}`);
    await shows(page, "#connection", "connected ada");
    await shows(page, "#first", "earlier");
    await shows(page, "#second", "earlier");
    await shows(page, "#members", "ada");
    await shows(page, "#orders", "created; open 1");
    await shows(page, "#text", "The tide  unfinished");
    expect(await subscribers(gateway)).toBe(1);

    await page.click("#second");
    await page.click("#board");
    await page.click("#state");
    await tell(gateway, "token", "comes in");
    await gateway.call("POST", "/v1/orders/o-1/events", { status: "confirmed" });
    await shows(page, "#first", "earlier,from second");
    await shows(page, "#board", "ada 7 own 1");
    await shows(page, "#orders", "confirmed; open 1");
    await shows(page, "#state", "state: note by the page");
    await shows(page, "#text", "The tide comes in unfinished");

    line.reset();
    await say(gateway, "missed");
    await tell(gateway, "token", ".");
    await tell(gateway, "done", {});
    await shows(page, "#text", "The tide comes in. done");
    await shows(page, "#first", "earlier,from second,missed");
    await shows(page, "#second", "earlier,from second,missed");

    await page.click("#hide");
    await say(gateway, "last");
    await shows(page, "#second", "earlier,from second,missed,last");
    expect(await page.locator("#first").count()).toBe(0);
  });
});

const say = (gateway: TestGateway, text: string): Promise<unknown> =>
  gateway.call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: { text } });

const tell = (gateway: TestGateway, event: string, data: unknown): Promise<unknown> =>
  gateway.call("POST", "/v1/publish", { channel: "answer:1", event, data });

async function subscribers(gateway: TestGateway): Promise<number> {
  const { channels } = (await gateway.call("GET", "/v1/channels?prefix=chat:")).body as {
    channels: { subscribers: number }[];
  };
  return channels[0]?.subscribers ?? 0;
}

const shows = (page: Page, part: string, text: string): Promise<void> =>
  eventually(async () => expect(await page.locator(part).textContent()).toBe(text));

/** As an application's bundler does it. */
async function bundle(name: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    define: { "process.env.NODE_ENV": '"development"' },
    build: {
      write: false,
      minify: false,
      rolldownOptions: { input: fileURLToPath(new URL(name, import.meta.url)), output: { format: "iife" } },
    },
  });
  const [{ output }] = [result].flat() as [Rolldown.RolldownOutput];
  return output[0].code;
}

async function serve(code: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url === "/app.js") return response.setHeader("content-type", "text/javascript").end(code);
    response.setHeader("content-type", "text/html").end('<main></main><script src="/app.js"></script>');
  }).listen(0, "127.0.0.1");
  await eventually(() => expect(server.listening).toBe(true));
  onTestFinished(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
