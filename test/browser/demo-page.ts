import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from "playwright-core";
import { expect, onTestFinished, type RunnerTestCase } from "vitest";
import { developmentApiKey } from "../../src/config/credentials.ts";
import { backend, type BackendCalls, startGateway, type TestGateway } from "../support/gateway.ts";

/** To build pages and to launch a browser, on a busy machine. */
export const startMs = 180_000;

/** Builds the page as `npm start` does; what is built already is left as it is. */
export async function buildDemo(): Promise<void> {
  await promisify(execFile)(process.execPath, [fileURLToPath(new URL("../../scripts/build-demo.ts", import.meta.url))]);
}

export function launch(executablePath: string): Promise<Browser> {
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"];
  return chromium.launch({
    executablePath,
    timeout: startMs,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", insecureHost, ...quiet],
  });
}

/** A name of this machine whose pages have what browsers offer without TLS, as by its address in a network. */
const insecureHost = "--host-resolver-rules=MAP demo.example 127.0.0.1";

/** A node as it runs on a developer's machine. */
export async function startDevelopmentGateway(
  options: { prefix?: string; port?: number; redisUrl?: string } = {},
): Promise<TestGateway & BackendCalls> {
  const gateway = await startGateway({
    ...(options.prefix !== undefined && { prefix: options.prefix }),
    env: {
      DEMO: "true",
      API_KEYS: `${developmentApiKey.name}:${developmentApiKey.secret}`,
      ...(options.port !== undefined && { PORT: String(options.port) }),
      ...(options.redisUrl !== undefined && { REDIS_URL: options.redisUrl }),
    },
  });
  return { ...gateway, ...backend(gateway.url, developmentApiKey.secret) };
}

/** The page in a browser that belongs to one user, closed when the test ends. */
export interface DemoPage {
  page: Page;
  feed: Locator;
  signIn(name: string): Promise<void>;
  openView(title: string): Promise<void>;
  openChannel(name: string): Promise<void>;
  publish(text: string): Promise<void>;
  /** The positions, texts and tags of what is shown, in order. */
  shown(): Promise<string[]>;
}

/** Fails the test where the page says anything on its console or asks any other host. */
export async function openDemo(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<DemoPage> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !isNoFault(message.text())) trouble.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith(url.replace("http", "ws")))
      trouble.push(`asked ${request.url()}`);
  });
  onTestFinished(async ({ task }) => {
    await printIfFailed(task, page);
    await context.close();
    expect(trouble).toEqual([]);
  });
  await page.goto(`${url}/demo/`);
  return { page, feed: page.getByRole("log", { name: /^Publications of/ }), ...acts(page) };
}

/** What was on the page of a test that failed, for whoever reads its output; to be called while the page is open. */
export async function printIfFailed(task: RunnerTestCase, page: Page): Promise<void> {
  if (task.result?.state !== "fail") return;
  const text = await page.locator("body").innerText({ timeout: 5_000 });
  console.error(`${task.name}: ${page.url()} showed\n${text}`);
}

/** Browsers log every attempt to reach a node that drains or is gone and every call refused, whatever the page does then. */
const isNoFault = (text: string): boolean =>
  /WebSocket connection to|ERR_CONNECTION_(REFUSED|RESET)|responded with a status of (409|429|503)/.test(text);

function acts(page: Page): Omit<DemoPage, "page" | "feed"> {
  return {
    async signIn(name) {
      await page.getByLabel("Your name").fill(name);
      await page.keyboard.press("Enter");
      await page.getByRole("banner").getByText("Connected").waitFor();
      await page.getByText("Subscribed", { exact: true }).waitFor();
    },
    async openView(title) {
      await page.getByRole("navigation").getByRole("link", { name: title }).click();
      await page.getByRole("main", { name: title }).waitFor();
    },
    async openChannel(name) {
      await page.getByLabel("Channel to open").fill(name);
      await page.keyboard.press("Enter");
    },
    async publish(text) {
      await page.getByLabel("Data: a text or JSON").fill(text);
      await page.keyboard.press("Enter");
    },
    async shown() {
      const rows = await page.locator(".publication, .mark").all();
      return Promise.all(rows.map((row) => rowText(row)));
    },
  };
}

async function rowText(row: Locator): Promise<string> {
  const cells = await row.locator(":scope > span").allInnerTexts();
  if (cells.length === 1) return `-- ${cells[0]}`;
  const [position = "", data = "", meta = ""] = cells;
  const tag = /earlier|recovered/.exec(meta)?.[0];
  return [position.split(":").at(-1)?.trim(), data, ...(tag === undefined ? [] : [tag])].join(" ");
}
