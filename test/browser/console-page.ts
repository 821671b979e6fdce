import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { printIfFailed } from "./demo-page.ts";

const secrets = {
  admin: "admin-secret-of-at-least-thirty-two-bytes",
  viewer: "viewer-secret-of-at-least-thirty-two",
};

export type Role = keyof typeof secrets;

/** For OPERATORS. */
export const operators = `ada:${secrets.admin}:admin,vic:${secrets.viewer}:viewer`;

/** A console with an operator signed in. Fails the test if the page has errors or asks any other host. */
export async function openConsole(
  browser: Browser,
  url: string,
  role: Role,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const trouble: string[] = [];
  page.on("pageerror", (error) => trouble.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/status of (401|403|409|503)/.test(message.text())) trouble.push(message.text());
  });
  page.on("request", (request) => void (request.url().startsWith(url) || trouble.push(`asked ${request.url()}`)));
  onTestFinished(async ({ task }) => {
    await printIfFailed(task, page);
    await context.close();
    expect(trouble).toEqual([]);
  });
  await page.goto(`${url}/console/`);
  await page.getByLabel("Name").fill(role === "admin" ? "ada" : "vic");
  await page.getByLabel("Secret").fill(secrets[role]);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
  return page;
}

export async function openView(page: Page, title: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name: title, exact: true }).click();
  await page.getByRole("heading", { name: title, level: 1 }).waitFor();
}

export const rowsOf = (page: Page, table: string): Locator =>
  page.getByRole("table", { name: table }).locator("tbody tr");
