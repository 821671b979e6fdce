import { inject, afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { chromiumPath } from "../../scripts/needs.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { startNodeProcess } from "../support/node-process.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";
import { openConsole as openConsoleIn, openView, operators, rowsOf, type Role } from "./console-page.ts";
import { buildDemo, launch, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined)
  console.error("CHROMIUM IS MISSING: the operator console is not tested in a browser.");

const file = { channels: { chat: { subscribe: "public" }, private: { subscribe: "granted" } } };

const startNode = (nodeId: string, prefix: string): Promise<TestGateway> =>
  startGateway({ prefix, file, env: { NODE_ID: nodeId, OPERATORS: operators } });

describe.skipIf(executablePath === undefined)("the operator console in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    await buildDemo();
    browser = await launch(executablePath ?? "");
  }, startMs);
  afterAll(() => browser?.close());

  const openConsole = (url: string, role: Role, options?: BrowserContextOptions): Promise<Page> =>
    openConsoleIn(browser, url, role, options);

  test("answers where somebody is connected and why she was refused, and an admin acts with an audit line", async () => {
    const prefix = freshPrefix();
    const [n1, n2] = await Promise.all([startNode("n1", prefix), startNode("n2", prefix)]);
    const nasty = "<img src=x onerror=alert(1)>";
    const { token } = await n1.signIn("alice");
    const client = await n2.connect(token);
    const other = await n1.connect((await n1.signIn(nasty)).token);
    await client.emitWithAck("subscribe", { channel: "chat:1" });
    await client.emitWithAck("subscribe", { channel: "private:1" });
    await n1.call("POST", "/v1/publish", { channel: "chat:1", event: "said", data: { text: nasty } });
    const page = await openConsole(n1.url, "admin");
    await eventually(async () => expect(await rowsOf(page, "Nodes").allInnerTexts()).toHaveLength(2));

    // Where is she connected? Names of clients stay text.
    await openView(page, "Connections");
    await page.getByText(nasty).first().waitFor();
    await page.getByLabel("user").fill("alice");
    await page.keyboard.press("Enter");
    await eventually(async () =>
      expect(await rowsOf(page, "Connections").allInnerTexts()).toEqual([expect.stringMatching(/^alice\s.*\bn2\b/s)]),
    );
    await page.getByRole("link", { name: "chat:1" }).click();
    await rowsOf(page, "Latest publications").getByText(nasty).waitFor();

    // Why was she refused?
    await openView(page, "Why?");
    await page.getByLabel("by", { exact: true }).selectOption("user");
    await page.getByLabel("token or id").fill("alice");
    await page.getByLabel("channel", { exact: true }).fill("private:1");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByText("refused: forbidden").waitFor();
    await page.getByText("channels.private.subscribe is").first().waitFor();

    // What does she do now?
    await openView(page, "Trace");
    await page.getByLabel("name or id").fill("alice");
    await page.keyboard.press("Enter");
    await page.getByText("Nothing has happened yet.").waitFor();
    await client.emitWithAck("subscribe", { channel: "private:2", since: { epoch: nasty, offset: 1 } });
    await rowsOf(page, "Events, newest first")
      .getByText(/forbidden · grant/)
      .waitFor();
    await page.getByText(nasty).first().waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByText("This trace has ended.").waitFor();

    // Acts
    await openView(page, "User");
    await page.getByRole("textbox", { name: "User" }).fill("alice");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Revoke all sessions" }).click();
    await page.getByRole("dialog", { name: "Revoke all sessions" }).getByRole("button", { name: "Revoke" }).click();
    await page.getByText("1 revoked").waitFor();
    await eventually(() => expect(client.connected).toBe(false));
    expect(other.connected).toBe(true);
    await openView(page, "Audit");
    await eventually(async () =>
      expect(await rowsOf(page, "Acts, newest first").allInnerTexts()).toEqual([
        expect.stringMatching(/ada\s+operatorRevokeUser\s+userId alice\s+revoked 1/),
        expect.stringMatching(/ada\s+stopTrace/),
        expect.stringMatching(/ada\s+startTrace\s+userId alice/),
      ]),
    );
    await openView(page, "Settings");
    await page.getByText("All nodes have the same settings.").waitFor();
    expect(await page.getByRole("main").innerText()).not.toContain("-secret-of-at-least");

    // Signing out ends it
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Tidegate console" }).waitFor();
    await page.reload();
    await page.getByLabel("Secret").waitFor();
  });

  test("replays dead letters of one kind; a viewer sees them masked and cannot act; on a phone nothing overflows", async () => {
    const node = await startNode("n1", freshPrefix());
    const { redis } = await redisWorld();
    const send = (command: string) =>
      redis.connection("commands").xadd(`${node.prefix}:commands`, "*", "command", command);
    await send("no JSON");
    const phone = { viewport: { width: 375, height: 700 }, colorScheme: "dark" } as const;
    const viewer = await openConsole(node.url, "viewer", phone);
    const admin = await openConsole(node.url, "admin");

    for (const page of [viewer, admin]) await openView(page, "Queues");
    await rowsOf(viewer, "Dead letters").first().waitFor();
    // One that comes later is shown without a click.
    await send('{"type":"order.event","orderId":"o-1","status":"confirmed"}');
    // An order that is not there may come yet: its event is tried several times.
    await eventually(async () => expect(await rowsOf(viewer, "Dead letters").allInnerTexts()).toHaveLength(2), 90_000);
    expect(await viewer.getByText("masked").count()).toBe(2);
    expect(await viewer.getByRole("button", { name: "Replay all that match" }).count()).toBe(0);
    for (const title of ["Overview", "Connections", "Board", "Order", "Trace", "Why?", "Settings"]) {
      await openView(viewer, title);
      const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
      expect([title, await viewer.evaluate<number>(overflow)]).toEqual([title, 0]);
    }

    await node.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice" } });
    await admin.getByLabel("type").fill("order.event");
    await admin.keyboard.press("Enter");
    await eventually(async () => expect(await rowsOf(admin, "Dead letters").allInnerTexts()).toHaveLength(1));
    await admin.getByRole("button", { name: "Replay all that match" }).click();
    const dialog = admin.getByRole("dialog", { name: "Replay all that match" });
    await dialog.getByRole("button", { name: "Replay" }).click();
    await admin.getByText("1 replayed").waitFor();
    const statusOf = async () => (await node.call("GET", "/v1/orders/o-1")).body.order.status;
    await eventually(async () => expect(await statusOf()).toBe("confirmed"));
  });

  test("answers which channel fills the queues, and what the last deployment did", async () => {
    const prefix = freshPrefix();
    const large = { channels: { feed: { subscribe: "public" } }, limits: { outboundQueueBytes: 64 * 1_048_576 } };
    const env = { OPERATORS: operators };
    const n1 = await startGateway({ prefix, file: large, env: { ...env, NODE_ID: "n1" } });
    const n2 = await startGateway({ prefix, file: large, env: { ...env, NODE_ID: "n2" } });
    await n2.connect((await n1.signIn("quick")).token);
    const slow = await n2.connect((await n1.signIn("slow")).token);
    await slow.emitWithAck("subscribe", { channel: "feed:large" });
    (slow.io.engine.transport as unknown as { ws: { pause(): void } }).ws.pause();
    const page = await openConsole(n1.url, "admin");
    await eventually(async () => expect(await rowsOf(page, "Nodes").allInnerTexts()).toHaveLength(2));

    // Which channel fills the queues? The longest first.
    await openView(page, "Connections");
    await page.getByLabel("most first").selectOption("queue");
    const data = "x".repeat(60_000);
    const publication = { channel: "feed:large", event: "frame", data };
    await eventually(async () => {
      // The kernel takes some megabytes first.
      await Promise.all(Array.from({ length: 16 }, () => n1.call("POST", "/v1/publish", publication)));
      await page.getByRole("button", { name: "Search" }).click();
      expect(await rowsOf(page, "Connections").first().innerText()).toMatch(/^slow\s.*[KM]iB.*feed:large/s);
    });

    // What did the last deployment do? A node left, and came back.
    await n2.gateway.drain();
    await openView(page, "Overview");
    await page.getByText("n2 has left.").waitFor();
    await startGateway({ prefix, file: large, env: { ...env, NODE_ID: "n2" } });
    await eventually(async () => expect(await rowsOf(page, "Nodes").allInnerTexts()).toHaveLength(2));
  });

  test("shows a board as it changes and an order with what it waits for; an admin changes both", async () => {
    const node = await startGateway({
      file: { leaderboards: { daily: {} }, orders: { reorderWindowMs: 600_000 } },
      env: { NODE_ID: "n1", OPERATORS: operators },
    });
    // A node that stalls on a busy machine answers 503 for a moment.
    const call = (...request: Parameters<typeof node.call>) =>
      eventually(async () => expect((await node.call(...request)).status).toBeLessThan(300));
    const score = (member: string, points: number) =>
      call("PUT", `/v1/leaderboards/daily/scores/${member}`, { score: points });
    await score("alice", 20);
    await score("bob", 10);
    await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice", courier: "bob" } });
    await call("POST", "/v1/orders/o-1/events", { status: "preparing", sequence: 2 });
    const page = await openConsole(node.url, "admin", { colorScheme: "dark" });

    await openView(page, "Board");
    await page.getByRole("textbox", { name: "Board" }).fill("daily");
    await page.keyboard.press("Enter");
    await rowsOf(page, "Entries").first().getByText("alice").first().waitFor();
    await score("bob", 30);
    await rowsOf(page, "Entries").first().getByText("↑ 1").waitFor();
    await page.getByRole("button", { name: "Remove bob" }).click();
    await page.getByRole("dialog", { name: "Remove bob" }).getByRole("button", { name: "Remove bob" }).click();
    await eventually(async () => expect(await rowsOf(page, "Entries").allInnerTexts()).toHaveLength(1));

    await openView(page, "Order");
    await page.getByRole("textbox", { name: "Order" }).fill("o-1");
    await page.keyboard.press("Enter");
    await rowsOf(page, "Held events").getByText("event 1").waitFor();
    await page.getByRole("textbox", { name: "status" }).fill("none");
    await page.getByRole("button", { name: "Send event" }).click();
    await page.getByText("cannot move to none").waitFor();
    expect(await page.getByRole("textbox", { name: "status" }).inputValue()).toBe("none");
    await page.getByRole("textbox", { name: "status" }).fill("confirmed");
    await page.getByRole("button", { name: "Send event" }).click();
    await rowsOf(page, "Timeline, newest first").getByText("confirmed → preparing").waitFor();
    await page.getByRole("button", { name: "Remove courier" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove courier" }).click();
    await eventually(async () => expect(await rowsOf(page, "Parties").allInnerTexts()).toHaveLength(1));
  });

  test("a slow answer does not replace a later one", async () => {
    const node = await startGateway({ file: { leaderboards: { daily: {} } }, env: { OPERATORS: operators } });
    const score = (points: number) => node.call("PUT", "/v1/leaderboards/daily/scores/bob", { score: points });
    await score(111);
    const page = await openConsole(node.url, "admin");
    const [read, released, delivered] = [1, 2, 3].map(() => Promise.withResolvers<void>());
    let asked = 0;
    await page.route("**/leaderboards/daily*", async (route) => {
      const [isFirst, response] = [(asked += 1) === 1, await route.fetch()];
      if (isFirst) read?.resolve();
      if (isFirst) await released?.promise;
      await route.fulfill({ response });
      if (isFirst) delivered?.resolve();
    });

    await openView(page, "Board");
    await page.getByRole("textbox", { name: "Board" }).fill("daily");
    await page.keyboard.press("Enter");
    await read?.promise;
    await score(777);
    await rowsOf(page, "Entries").getByText("777").waitFor();
    released?.resolve();
    await delivered?.promise;
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");

    expect(await rowsOf(page, "Entries").allInnerTexts()).toEqual([expect.stringContaining("777")]);
  });

  test("a page that was opened in the background loads when it is looked at; a block without an end is shown", async () => {
    const node = await startGateway({ env: { OPERATORS: operators } });
    const { status } = await node.call("PUT", "/v1/users/zed/block", { until: Number.MAX_SAFE_INTEGER });
    expect(status).toBe(200);
    const page = await openConsole(node.url, "admin");
    const setHidden = (isHidden: boolean) =>
      page.evaluate(`
        Object.defineProperty(document, "hidden", { value: ${isHidden}, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      `);

    await setHidden(true);
    await openView(page, "Audit");
    await page.getByText("Loading …").waitFor();
    await setHidden(false);
    await rowsOf(page, "Acts").getByText("zed").waitFor();

    await openView(page, "User");
    await page.getByRole("textbox", { name: "User" }).fill("zed");
    await page.keyboard.press("Enter");
    await page.getByText("Blocked until +275760-09-13 00:00:00.").waitFor();
  });

  test("an admin changes a user's rights, blocks the user, clears limits and asks a client; publishes and deletes", async () => {
    const node = await startNode("n1", freshPrefix());
    const login = await node.signIn("alice");
    const client = await node.connect(login.token);
    client.on("confirm", (text: string, answer: (reply: string) => void) => answer(`${text}: yes`));
    await client.emitWithAck("subscribe", { channel: "chat:1" });
    await node.call("POST", "/v1/publish", { channel: "chat:1", event: "later", data: 1, delayMs: 3_600_000 });
    const page = await openConsole(node.url, "admin", { viewport: { width: 375, height: 800 } });
    const fill = (form: string, label: string, text: string) =>
      page.getByRole("form", { name: form, exact: true }).getByLabel(label).fill(text);
    const press = (name: string) => page.getByRole("button", { name, exact: true }).first().click();
    const confirm = async (name: string) => {
      await press(name);
      await page.getByRole("dialog", { name }).getByRole("button", { name }).click();
    };

    await openView(page, "User");
    await page.getByRole("textbox", { name: "User" }).fill("alice");
    await page.keyboard.press("Enter");
    await page.getByText("Change rights").first().click();
    await fill("Change rights", "may subscribe to", "private:1, private:2");
    await press("Change rights");
    await page.getByText("subscribe private:1, subscribe private:2").waitFor();
    await fill("Subscribe", "channel to grant", "private:3");
    await page.keyboard.press("Enter");
    await page.getByText("1 connections subscribed").waitFor();
    await page.getByRole("link", { name: "private:3" }).waitFor();
    const acts = page.locator("section.card", { has: page.getByRole("heading", { name: "Acts", exact: true }) });
    await acts.getByLabel("event").fill("confirm");
    await acts.getByLabel("arguments").fill("sure");
    await acts.getByRole("button", { name: "Ask client" }).click();
    await page.getByText("arguments: is not JSON; texts need quotes").waitFor();
    await acts.getByLabel("arguments").fill('"sure"');
    await page.keyboard.press("Enter");
    await page.getByText('1 answered: ["sure: yes"]; 0 did not').waitFor();
    await confirm("Clear limits");
    await page.getByText(/^[01] cleared$/).waitFor();
    await fill("Block", "reason", "spam");
    await page.keyboard.press("Enter");
    await page.getByText(/^Blocked until somebody unblocks: spam/).waitFor();
    await eventually(() => expect(client.connected).toBe(false));
    await confirm("Unblock");
    await page.getByRole("button", { name: "Block", exact: true }).waitFor();

    await openView(page, "Channel");
    await page.getByRole("textbox", { name: "Channel" }).fill("chat:1");
    await page.keyboard.press("Enter");
    await fill("Publish", "event", "notice");
    await fill("Publish", "data", '{"text":"hello"}');
    await page.keyboard.press("Enter");
    await page.getByText("published at offset 1").waitFor();
    await rowsOf(page, "Latest publications").getByText('{"text":"hello"}').waitFor();
    await confirm("Delete history");
    await page.getByText("The log is empty.").waitFor();
    await openView(page, "Queues");
    await confirm("Cancel publication");
    await page.getByText("Nothing is scheduled.").waitFor();
  });

  test("names a node that is frozen or dead, and shows the rest", async () => {
    const prefix = freshPrefix();
    const node = await startNode("n1", prefix);
    const env = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: prefix, OPERATORS: operators };
    const other = await startNodeProcess({ nodeId: "n2", env });
    onTestFinished(async () => void (await other.kill()));
    const page = await openConsole(node.url, "admin", { colorScheme: "dark" });
    await eventually(async () => expect(await rowsOf(page, "Nodes").allInnerTexts()).toHaveLength(2));

    await other.kill();

    await page.getByText("n2 died.").waitFor();
    await eventually(async () =>
      expect(await rowsOf(page, "Nodes").allInnerTexts()).toEqual([expect.stringMatching(/^n1\s/)]),
    );
  });

  test("says that it is stale when its node is gone, and signs nobody in with a wrong secret", async () => {
    const node = await startNode("n1", freshPrefix());
    const page = await openConsole(node.url, "admin");
    await rowsOf(page, "Nodes").first().waitFor();
    await page.route("**/v1/operator/overview", (route) =>
      route.fulfill({ status: 503, json: { detail: "Redis cannot be reached." } }),
    );
    await page.getByText("What is shown below is from before.").waitFor();
    await page.unroute("**/v1/operator/overview");

    const response = await fetch(`${node.url}/console/`);
    expect(response.headers.get("content-security-policy")).toMatch(/default-src 'self';.*frame-ancestors 'none'/);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Name").fill("ada");
    await page.getByLabel("Secret").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("The name or the secret is wrong.").waitFor();
  });
});
