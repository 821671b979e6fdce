import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { chromiumPath } from "../../scripts/needs.ts";
import { freePort, startRedisServer } from "../support/redis-server.ts";
import { eventually } from "../support/world.ts";
import { buildDemo, launch, openDemo, startDevelopmentGateway, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined) console.error("CHROMIUM IS MISSING: the demo page is not tested in a browser.");

describe.skipIf(executablePath === undefined)("the demo in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    await buildDemo();
    browser = await launch(executablePath ?? "");
  }, startMs);
  afterAll(() => browser?.close());

  const publication = (text: string, channel = "chat:lobby") => ({ channel, event: "message", data: { text } });

  test("shows what a backend publishes and what is published from the page", async () => {
    const { url, call } = await startDevelopmentGateway();
    const { page, signIn, publish, shown } = await openDemo(browser, url);
    await signIn("ada");
    await page.getByText("Nothing was published here yet").waitFor();

    await call("POST", "/v1/publish", publication("Hello from a backend"));
    await eventually(async () => expect(await shown()).toEqual(["1 Hello from a backend"]));
    await publish("Hello from the page");

    await eventually(async () => expect(await shown()).toEqual(["1 Hello from a backend", "2 Hello from the page"]));
    await page.getByText(/^Published at offset 2 in/).waitFor();
  });

  test("shows the author of each publication, whom nobody else can imitate", async () => {
    const { url, call } = await startDevelopmentGateway();
    const ada = await openDemo(browser, url);
    const bob = await openDemo(browser, url);
    await ada.signIn("ada");
    await bob.signIn("bob");
    await call("POST", "/v1/publish", publication("Hello"));
    const authors = () => ada.page.locator(".publication .author").allInnerTexts();
    await bob.publish(JSON.stringify({ text: "I am ada", from: { userId: "ada" }, userId: "ada" }));
    await eventually(async () => expect(await authors()).toEqual(["a backend", "bob"]));
    await ada.publish("No, I am");

    await eventually(async () => expect(await authors()).toEqual(["a backend", "bob", "ada"]));
    await ada.page.reload();
    await eventually(async () => expect(await authors()).toEqual(["a backend", "bob", "ada"]));
  });

  test("ends the session on signing out, and lets nobody write where the channel was refused", async () => {
    const { url, call } = await startDevelopmentGateway();
    const { page, signIn, openChannel } = await openDemo(browser, url);
    await signIn("ada");
    expect((await call("GET", "/v1/users/ada/sessions")).body.sessions).toHaveLength(1);
    await openChannel("user:bob");
    await page.getByText("The gateway refused this.").waitFor();
    const button = page.getByRole("button", { name: "Publish" });
    await eventually(async () => expect(await button.isDisabled()).toBe(true));
    await page.getByRole("button", { name: "Leave user:bob" }).click();
    await page.getByText("Subscribed", { exact: true }).waitFor();
    await eventually(async () => expect(await button.isEnabled()).toBe(true));

    await page.getByRole("button", { name: "Sign out" }).first().click();

    await page.getByLabel("Your name").waitFor();
    await eventually(async () => expect((await call("GET", "/v1/users/ada/sessions")).body.sessions).toEqual([]));
  });

  test("says that the store is away, and loses no typed text", async () => {
    const store = await startRedisServer();
    onTestFinished(() => store.stop());
    const { url } = await startDevelopmentGateway({ redisUrl: store.url });
    const { page, signIn, publish } = await openDemo(browser, url);
    await signIn("ada");

    await store.stop();

    await page.getByRole("banner").getByText("Store away").waitFor();
    await publish("kept");
    await page.getByText(/^unavailable: /).waitFor();
    await eventually(async () => expect(await page.getByLabel("Data: a text or JSON").inputValue()).toBe("kept"));
  });

  test("shows a curl command that works unchanged", async ({ skip }) => {
    await promisify(execFile)("curl", ["--version"]).catch(() => skip("curl is missing"));
    const { url } = await startDevelopmentGateway();
    const { page, signIn, openChannel, shown } = await openDemo(browser, url);
    await signIn("ada");
    await openChannel("chat:it's here");
    await page.getByRole("tabpanel", { name: "it's here" }).getByText("Subscribed", { exact: true }).waitFor();

    const line = await page.getByLabel("Command").innerText();
    const { stdout } = await promisify(execFile)("sh", ["-c", line]);

    expect(JSON.parse(stdout)).toMatchObject({ channel: "chat:it's here", offset: 1 });
    await eventually(async () => expect(await shown()).toEqual(["1 Hello from curl"]));
  });

  test("recovers publications that it missed while disconnected, and marks them as recovered", async () => {
    const { url, call } = await startDevelopmentGateway();
    const { page, signIn, shown } = await openDemo(browser, url);
    await signIn("ada");
    await call("POST", "/v1/publish", publication("before"));
    await page.getByLabel("For how long").selectOption("for 8 seconds");

    await page.getByRole("button", { name: "Cut connection" }).click();
    await page.getByRole("banner").getByText("Cut off").waitFor();
    await eventually(async () => expect((await call("GET", history)).body.offset).toBe(4));
    await call("POST", "/v1/publish", publication("from elsewhere"));
    await page.getByText("Recovered 4 missed publications").waitFor();
    await call("POST", "/v1/publish", publication("after"));

    const missed = [1, 2, 3].map((number) => `${number + 1} Missed while away, ${number} of 3 recovered`);
    await eventually(async () =>
      expect(await shown()).toEqual([
        "1 before",
        "-- The connection was cut",
        ...missed,
        "5 from elsewhere recovered",
        "-- Recovered 4 missed publications",
        "6 after",
      ]),
    );
  });

  test("continues on another node", async () => {
    const port = await freePort();
    const first = await startDevelopmentGateway({ port });
    const second = await startDevelopmentGateway({ prefix: first.prefix });
    const { page, signIn, shown } = await openDemo(browser, first.url);
    await signIn("ada");

    await first.gateway.drain();
    await second.call("POST", "/v1/publish", publication("nobody was there"));
    await startDevelopmentGateway({ prefix: first.prefix, port });

    await page.getByText("Recovered 1 missed publication").waitFor();
    await eventually(async () => expect(await shown()).toContain("1 nobody was there recovered"));
  });

  test("shows the same to a second user, and publications that arrived while another channel was selected", async () => {
    const { url, call } = await startDevelopmentGateway();
    const ada = await openDemo(browser, url);
    const bob = await openDemo(browser, url);
    await ada.signIn("ada");
    await bob.signIn("bob");
    await bob.openChannel("news:today");
    await bob.page.getByRole("tabpanel", { name: "news:today" }).getByText("Subscribed", { exact: true }).waitFor();
    await ada.publish("Hello, bob");
    await call("POST", "/v1/publish", publication("Rain", "news:today"));

    const lobby = bob.page.getByRole("tab", { name: /chat:lobby/ });
    await lobby.getByLabel("1 new").waitFor();
    await eventually(async () => expect(await bob.shown()).toEqual(["1 Rain"]));
    await bob.page.getByRole("tab", { name: /news:today/ }).focus();
    await bob.page.keyboard.press("ArrowLeft");

    await eventually(async () => expect(await bob.shown()).toEqual(["1 Hello, bob"]));
    expect(await lobby.getAttribute("aria-selected")).toBe("true");
    await bob.page.reload();
    await eventually(async () => expect(await bob.shown()).toEqual(["1 Hello, bob earlier"]));
  });

  test("lists the channel's members as they join and leave, also after a disconnect", async () => {
    const { url } = await startDevelopmentGateway();
    const ada = await openDemo(browser, url);
    await ada.signIn("ada");
    const here = ada.page.getByRole("list", { name: "Here now" }).getByRole("listitem");
    await eventually(async () => expect(await here.allInnerTexts()).toEqual(["ada"]));
    const [box, name] = await Promise.all([here.boundingBox(), here.getByText("ada").boundingBox()]);
    expect(box?.height).toBeLessThan((name?.height ?? 0) + 8);

    const bob = await openDemo(browser, url);
    await bob.signIn("bob");
    await eventually(async () => expect(await here.allInnerTexts()).toEqual(["ada", "bob"]));
    await ada.page.getByLabel("For how long").selectOption("for 4 seconds");
    await ada.page.getByRole("button", { name: "Cut connection" }).click();
    await bob.page.getByRole("button", { name: "Sign out" }).first().click();

    await ada.page.getByRole("banner").getByText("Connected").waitFor();
    await eventually(async () => expect(await here.allInnerTexts()).toEqual(["ada"]));
    await ada.openChannel("news:today");
    await ada.page.getByRole("tabpanel", { name: "news:today" }).getByText("Subscribed", { exact: true }).waitFor();
    expect(await here.count()).toBe(0);
  });

  test("shows refusals of the gateway", async () => {
    const { url } = await startDevelopmentGateway();
    const { page, signIn, openChannel, publish } = await openDemo(browser, url);
    await signIn("ada");

    await openChannel("user:bob");
    await eventually(async () => expect(await page.getByText("forbidden: Not allowed.").isVisible()).toBe(true));
    await openChannel("news:today");
    await publish("May I?");
    await page.getByText(/^forbidden: Not allowed\. Perhaps only backends/).waitFor();
    await openChannel("nosuch:thing");
    await page.getByText(/^unknown_channel:/).waitFor();
  });

  test("lists the user's sessions and ends the others, which show the reason", async () => {
    const { url } = await startDevelopmentGateway();
    const here = await openDemo(browser, url);
    const there = await openDemo(browser, url);
    await there.signIn("ada");
    await here.signIn("ada");

    await here.page.getByRole("button", { name: "Sign out elsewhere" }).click();

    await there.page.getByText("The gateway ended this connection for good: The session was revoked.").waitFor();
    await here.page.getByText("Nowhere else.").waitFor();
    await there.page.getByRole("button", { name: "Sign in again" }).click();
    await there.signIn("ada");
  });

  test("says when there were too many sign-ins under a name, and accepts another name", async () => {
    const { url, call } = await startDevelopmentGateway();
    const { page, signIn } = await openDemo(browser, url);
    for (let login = 0; login < 5; login += 1) await call("POST", "/demo/login", { name: "ada" });

    await page.getByLabel("Your name").fill("ada");
    await page.keyboard.press("Enter");

    await page
      .getByText("Too many sign-ins as ada from here. Take another name, or come back in 15 minutes.")
      .waitFor();
    await signIn("bob");
  });

  test.each([360, 768, 1280])("fits a window %i pixels wide, light and dark", async (width) => {
    const { url } = await startDevelopmentGateway();
    for (const colorScheme of ["light", "dark"] as const) {
      const viewport = { width, height: 740 };
      const { page, signIn, publish } = await openDemo(browser, url, { viewport, colorScheme });
      await signIn("a-name-that-is-rather-longer-than-names-are");
      await publish(`A word as long as ${"x".repeat(300)}`);
      await page.getByText("A word as long as").first().waitFor();

      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
    }
  });
});

const history = "/v1/channels/chat%3Alobby/history";
