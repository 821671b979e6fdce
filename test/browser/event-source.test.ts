import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Browser } from "playwright-core";
import { chromiumPath } from "../../scripts/needs.ts";
import { startGateway } from "../support/gateway.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { launch, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined) console.error("CHROMIUM IS MISSING: EventSource is not tested in a browser.");

/** Runs in the page. */
const open = `(url) => {
  globalThis.offsets = [];
  globalThis.opened = 0;
  const events = new EventSource(url);
  events.addEventListener("open", () => (globalThis.opened += 1));
  events.addEventListener("publication", ({ data }) => globalThis.offsets.push(JSON.parse(data).offset));
}`;

describe.skipIf(executablePath === undefined)("a browser's EventSource", () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch(executablePath ?? "");
  }, startMs);
  afterAll(() => browser?.close());

  test("receives every publication once with one ticket, over cuts and a node that drains", async () => {
    const file = { channels: { chat: { subscribe: "public", history: { size: 1000, ttlSeconds: 60 } } } };
    const prefix = freshPrefix();
    const [first, second] = [await startGateway({ prefix, file }), await startGateway({ prefix, file })];
    const portOf = (url: string) => ({ port: Number(new URL(url).port) });
    let target = first;
    const proxy = await startTcpProxy({ targets: () => [portOf(target.url)] });
    onTestFinished(() => proxy.stop());
    const { sessionId } = await first.signIn("ada");
    const { ticket } = (await first.call("POST", `/v1/sessions/${sessionId}/ticket`)).body;
    const page = await browser.newPage();
    onTestFinished(() => page.close());
    const base = `http://127.0.0.1:${proxy.port}`;
    const read = (): Promise<number[]> => page.evaluate("globalThis.offsets");
    let published = 0;
    const publish = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        await second.call("POST", "/v1/publish", { channel: "chat:a", event: "e", data: (published += 1) });
      }
    };
    const all = () => Array.from({ length: published }, (_, n) => n + 1);

    await page.goto(`${base}/healthz`);
    await page.evaluate(`(${open})(${JSON.stringify(`${base}/v1/stream?channel=chat:a&ticket=${ticket}`)})`);
    await eventually(async () => expect(await page.evaluate("globalThis.opened")).toBe(1));
    await publish(5);
    await eventually(async () => expect(await read()).toEqual(all()));
    proxy.reset();
    await publish(5);
    await eventually(async () => expect(await read()).toEqual(all()));
    target = second;
    await Promise.all([first.gateway.drain(), publish(5)]);
    await publish(5);
    await eventually(async () => expect(await read()).toEqual(all()));

    expect(await page.evaluate("globalThis.opened")).toBe(3);
  });
});
