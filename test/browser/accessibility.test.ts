import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { chromiumPath } from "../../scripts/needs.ts";
import { guideGroups } from "../../src/http/guides.ts";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { buildDemo, launch, openDemo, startDevelopmentGateway, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined) console.error("CHROMIUM IS MISSING: the pages are not checked by axe.");

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const secret = "admin-secret-of-at-least-thirty-two-bytes";
const schemes = ["light", "dark"] as const;

interface Violations {
  violations: { id: string; nodes: { html: string }[] }[];
}

/** What axe finds, as `rule: element`. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate<Violations>("axe.run(document, { resultTypes: ['violations'] })");
  return found.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}

describe.skipIf(executablePath === undefined)("axe finds nothing to say", () => {
  let browser: Browser;
  beforeAll(async () => {
    await buildDemo();
    browser = await launch(executablePath ?? "");
  }, startMs);
  afterAll(() => browser?.close());

  test.each(schemes)("about any view of the demo (%s)", async (colorScheme) => {
    const { url, call } = await startDevelopmentGateway();
    const { page, signIn, openView } = await openDemo(browser, url, { colorScheme, reducedMotion: "reduce" });
    expect(await violations(page)).toEqual([]);
    await call("POST", "/v1/publish", { channel: "chat:lobby", event: "message", data: { text: "earlier" } });
    await signIn("ada");
    await call("POST", "/v1/publish", { channel: "chat:lobby", event: "message", data: { text: "hello" } });
    await page.getByText("hello").first().waitFor();
    expect(["channels", await violations(page)]).toEqual(["channels", []]);

    const titles = await page.getByRole("navigation").first().getByRole("link").allInnerTexts();
    for (const title of titles) {
      await openView(title);
      expect([title, await violations(page)]).toEqual([title, []]);
    }
  });

  test.each(schemes)("about the pages of the API and the guides (%s)", async (colorScheme) => {
    const { url } = await startDevelopmentGateway();
    const context = await browser.newContext({ colorScheme, bypassCSP: true });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(`${url}/docs`);
    await page.locator("#publish summary").click();
    await page.locator("details[id^=event-] summary").first().click();
    await page.getByRole("searchbox", { name: "Search" }).fill("subscribe");
    await page.getByRole("link", { name: "emit subscribe" }).waitFor();
    expect(["/docs", await violations(page)]).toEqual(["/docs", []]);
    await page.getByRole("link", { name: "Guides", exact: true }).click();
    await page.getByRole("main").getByRole("heading", { name: "Tidegate" }).waitFor();
    expect(["/docs/guides/", await violations(page)]).toEqual(["/docs/guides/", []]);
    await page.goto(`${url}/docs/guides/console`);
    expect(["console", await violations(page)]).toEqual(["console", []]);
  });

  test.each(schemes)("about any view of the console (%s)", async (colorScheme) => {
    const { url, call } = await startGateway({
      file: { leaderboards: { daily: {} }, channels: { chat: { subscribe: "public" } } },
      env: { NODE_ID: "n1", OPERATORS: `ada:${secret}:admin` },
    });
    await call("PUT", "/v1/leaderboards/daily/scores/alice", { score: 1 });
    await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice", courier: "bob" } });
    await call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: 1 });
    const context = await browser.newContext({ colorScheme });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(`${url}/console/`);
    await page.getByLabel("Secret").waitFor();
    expect(["sign-in", await violations(page)]).toEqual(["sign-in", []]);
    await page.getByLabel("Name").fill("ada");
    await page.getByLabel("Secret").fill(secret);
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    const links = await page.getByRole("navigation").getByRole("link").all();
    const views = await Promise.all(links.map((link) => link.getAttribute("href")));
    for (const view of [...views, "#/board/daily", "#/order/o-1", "#/channel/chat%3A1", "#/user/alice"]) {
      await page.goto(`${url}/console/${view}`);
      await eventually(async () => expect(await page.getByText("Loading …").count()).toBe(0));
      expect([view, await violations(page)]).toEqual([view, []]);
    }
  });
});

test.skipIf(executablePath === undefined)("no guide is wider than a phone", async () => {
  const { url } = await startGateway();
  const browser = await launch(executablePath ?? "");
  onTestFinished(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });

  const tooWide: string[] = [];
  for (const name of Object.values(guideGroups).flat()) {
    await page.goto(`${url}/docs/guides/${name === "readme" ? "" : name}`);
    if ((await page.evaluate<number>("document.documentElement.scrollWidth")) > 390) tooWide.push(name);
  }

  expect(tooWide).toEqual([]);
});
