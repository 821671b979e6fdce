import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chromiumPath } from "../../scripts/needs.ts";
import { eventually } from "../support/world.ts";
import { buildDemo, type DemoPage, launch, openDemo, startDevelopmentGateway, startMs } from "./demo-page.ts";

const executablePath = chromiumPath();
if (executablePath === undefined) console.error("CHROMIUM IS MISSING: the demo's views are not tested in a browser.");

type Gateway = Awaited<ReturnType<typeof startDevelopmentGateway>>;

describe.skipIf(executablePath === undefined)("the demo's views in a browser", () => {
  let browser: Browser;
  beforeAll(async () => {
    await buildDemo();
    browser = await launch(executablePath ?? "");
  }, startMs);
  afterAll(() => browser?.close());

  async function openAs(name: string, url: string, view: string, options = {}): Promise<DemoPage> {
    const demo = await openDemo(browser, url, options);
    await demo.signIn(name);
    await demo.openView(view);
    return demo;
  }

  describe("the board", () => {
    test("shows notes and pointers of all pages; a pointer goes with its page, a note stays", async () => {
      const { url, call } = await startDevelopmentGateway();
      const insecureUrl = url.replace(/localhost|127\.0\.0\.1/, "demo.example");
      const [ada, bob] = [await openAs("ada", insecureUrl, "Board"), await openAs("bob", url, "Board")];
      const noteAt = (page: Page) => page.getByRole("list", { name: "Notes" }).getByRole("textbox");
      await ada.page.getByRole("button", { name: "Add a note" }).click();
      await noteAt(ada.page).waitFor();
      await ada.page.keyboard.type("Buy milk");
      await eventually(async () => expect(await noteAt(bob.page).inputValue()).toBe("Buy milk"));

      await bob.page.locator(".board").hover({ position: { x: 300, y: 200 } });
      await ada.page.locator(".board-cursor", { hasText: "bob" }).waitFor();
      const before = (await call("GET", "/v1/channels/board%3Ademo/state")).body.entries;
      await bob.page.getByRole("button", { name: "Move the note of ada", exact: true }).press("ArrowRight");
      await eventually(async () => {
        const { entries } = (await call("GET", "/v1/channels/board%3Ademo/state")).body;
        const [key] = Object.keys(entries).filter((each) => each.startsWith("note:"));
        expect(entries[key!].value).toMatchObject({ text: "Buy milk", x: before[key!].value.x + 4 });
      });
      await bob.page.close();

      await eventually(async () => expect(await ada.page.locator(".board-cursor").count()).toBe(0));
      expect(await noteAt(ada.page).inputValue()).toBe("Buy milk");
      const value = { text: "Buy bread", x: 90, y: 90 };
      await call("POST", "/v1/channels/board%3Ademo/state", { changes: [{ key: "note:corner", value }] });
      await ada.page.setViewportSize({ width: 390, height: 740 });
      const corner = ada.page.locator(".board-note", { has: ada.page.getByLabel("Move the note of a backend") });
      await eventually(async () => {
        const [board, note] = [(await ada.page.locator(".board").boundingBox())!, (await corner.boundingBox())!];
        expect(note.x + note.width).toBeLessThanOrEqual(board.x + board.width);
        expect(note.y + note.height).toBeLessThanOrEqual(board.y + board.height);
      });
      await corner.getByRole("button", { name: /Move/ }).press("ArrowLeft");
      await eventually(async () => {
        const { entries } = (await call("GET", "/v1/channels/board%3Ademo/state")).body;
        expect(entries["note:corner"].value.x).toBeLessThan(60);
      });
      await call("POST", "/v1/channels/board%3Ademo/state", { changes: [{ key: "note:corner", value: null }] });
      await eventually(async () => expect(await noteAt(ada.page).count()).toBe(1));
      await ada.page.getByRole("button", { name: /Remove the note/ }).click();
      await eventually(async () => expect(await noteAt(ada.page).count()).toBe(0));
    });
  });

  describe("the race", () => {
    const rows = (page: Page) => page.getByRole("list", { name: "Top", exact: true }).getByRole("listitem");

    /** Rank, name and score of each row. */
    async function shown(page: Page): Promise<string[]> {
      const cells = await rows(page).locator(".racer-rank, .racer-name, .racer-score").allInnerTexts();
      const texts = cells.map((text) => text.replace(/\s*you$/, "").trim());
      return texts.flatMap((_, index) => (index % 3 === 0 ? [texts.slice(index, index + 3).join(" ")] : []));
    }

    async function stored({ call }: Gateway): Promise<string[]> {
      const { entries } = (await call("GET", "/v1/leaderboards/race")).body;
      return entries.map((entry: any) => `${entry.rank} ${entry.member} ${entry.score}`);
    }

    const submitMany = (page: Page) => page.getByRole("button", { name: "Submit 1,000 random scores" });

    /** Looks at each frame from here on: overlapping rows, and ranks of the own row that differ within the page. */
    const watchFrames = `
      window.seen = { frames: 0, moves: 0, faults: [] };
      (function look() {
        for (const list of document.querySelectorAll(".racers")) {
          const boxes = [...list.children].map((row) => row.getBoundingClientRect());
          const overlaps = boxes.some((box, at) => at > 0 && box.top < boxes[at - 1].bottom);
          if (overlaps) window.seen.faults.push("rows overlap");
        }
        const ranks = [...document.querySelectorAll(".is-own .racer-rank, .race-own-rank [role=status] b:first-child")];
        const texts = new Set(ranks.map((rank) => rank.textContent));
        if (texts.size > 1) window.seen.faults.push("ranks " + [...texts].join(", "));
        window.seen.frames += 1;
        window.seen.moves += document.querySelectorAll(".racer-move").length;
        requestAnimationFrame(look);
      })();`;

    test("ends with the stored board for every client, despite a disconnect, and can be read all the time", async () => {
      const gateway = await startDevelopmentGateway();
      const ada = await openAs("ada", gateway.url, "Race");
      const bob = await openAs("bob", gateway.url, "Race");
      await ada.page.getByRole("button", { name: "Score 10 for me" }).click();
      await ada.page.getByText("You are 1 of 1 with 10").waitFor();
      expect(await rows(bob.page).locator(".is-own").count()).toBe(0);

      await ada.page.evaluate(watchFrames);
      let submitted = 0;
      ada.page.on("response", (response) => void (response.url().includes("/race/scores") && submitted++));
      await submitMany(ada.page).click();
      await bob.page.getByLabel("For how long").selectOption("for a moment");
      await bob.page.getByRole("button", { name: "Cut connection" }).click();
      await eventually(() => expect(submitted).toBe(20));
      await submitMany(ada.page).waitFor();

      const board = await stored(gateway);
      expect(board).toHaveLength(10);
      await eventually(async () => expect(await shown(ada.page)).toEqual(board));
      await eventually(async () => expect(await shown(bob.page)).toEqual(board));
      const own = (await gateway.call("GET", "/v1/leaderboards/race/members/ada")).body.entry;
      await ada.page.getByText(`You are ${own.rank} of 41 with ${own.score}`).waitFor();
      const around = ada.page.getByRole("list", { name: "Around you" }).locator(".is-own");
      await eventually(async () => expect(await around.innerText()).toMatch(new RegExp(`^${own.rank}\\s+ada`)));
      const seen = await ada.page.evaluate<{ frames: number; moves: number; faults: string[] }>("window.seen");
      expect(seen.faults).toEqual([]);
      expect(Math.min(seen.frames, seen.moves)).toBeGreaterThan(2);
    });

    test("marks the own row and ties, with the first to reach a score above", async () => {
      const { url, call } = await startDevelopmentGateway();
      const { page } = await openAs("bob", url, "Race");
      await page.getByText("Nobody has scored yet.").waitFor();

      for (const member of ["ada", "bob", "cleo"]) {
        await call("PUT", `/v1/leaderboards/race/scores/${member}`, { score: member === "cleo" ? 5 : 30 });
      }

      await eventually(async () => expect(await shown(page)).toEqual(["1 ada 30", "2 bob 30", "3 cleo 5"]));
      expect(await page.locator(".boards section").first().locator(".racer-tie").allInnerTexts()).toEqual([
        "level, got there first",
        "level",
      ]);
      expect(await rows(page).nth(1).getAttribute("class")).toContain("is-own");
    });

    test("shows a curl command that works unchanged", async ({ skip }) => {
      await promisify(execFile)("curl", ["--version"]).catch(() => skip("curl is missing"));
      const { url } = await startDevelopmentGateway();
      const { page } = await openAs("it's me", url, "Race");

      const { stdout } = await promisify(execFile)("sh", ["-c", await page.getByLabel("Command").innerText()]);

      expect(JSON.parse(stdout)).toMatchObject({ member: "it's me", rank: 1 });
      await eventually(async () => expect(await shown(page)).toEqual(["1 it's me 25"]));
    });
  });

  describe("an order", () => {
    const timeline = (page: Page) => page.getByRole("list", { name: "Timeline" }).locator(".timeline-status");
    const whole = ["Created", "Confirmed", "Preparing", "Ready", "Picked up", "Delivered"];

    async function create(customer: DemoPage): Promise<string> {
      await customer.page.getByRole("button", { name: "Create an order" }).click();
      await customer.page.getByRole("article", { name: /^Order o-/ }).waitFor();
      return decodeURIComponent(new URL(customer.page.url()).hash.replace("#orders/", ""));
    }

    test("is followed by its customer while a courier drives in another browser", async () => {
      const { url } = await startDevelopmentGateway();
      const ada = await openAs("ada", url, "Orders");
      const bob = await openAs("bob", url, "Orders");
      await bob.page.getByText("You have no open orders.").waitFor();
      const orderId = await create(ada);
      await bob.page.getByRole("link", { name: `${orderId} Created` }).click();

      await bob.page.getByRole("button", { name: "Drive to the customer" }).click();
      const map = ada.page.getByRole("img", { name: /^Map/ });
      const places = new Set<string | null>();
      await eventually(async () => {
        places.add(await map.getAttribute("aria-label"));
        expect(places.size).toBeGreaterThan(3);
      });
      await bob.page.getByRole("button", { name: "Stop" }).click();
      await bob.page.getByRole("button", { name: "Confirmed" }).click();

      await eventually(async () => expect(await timeline(ada.page).allInnerTexts()).toEqual(["Created", "Confirmed"]));
    });

    test("shows why an illegal transition was refused, and does not change", async () => {
      const { url } = await startDevelopmentGateway();
      const ada = await openAs("ada", url, "Orders");
      await create(ada);

      await ada.page.getByRole("button", { name: "Delivered" }).click();

      await ada.page.getByText("The order is created and cannot move to delivered. 409 illegal_transition").waitFor();
      expect(await timeline(ada.page).allInnerTexts()).toEqual(["Created"]);
      await ada.page.getByRole("button", { name: "Cancelled" }).click();
      await ada.page.getByText("You have no open orders.").waitFor();
      await eventually(async () => expect(await timeline(ada.page).allInnerTexts()).toEqual(["Created", "Cancelled"]));
    });

    test("keeps a correct timeline while its events are sent shuffled and twice, despite a disconnect", async () => {
      const { url } = await startDevelopmentGateway();
      const { page, ...ada } = await openAs("ada", url, "Orders");
      await create({ page, ...ada });
      await page.getByRole("button", { name: "Confirmed" }).click();
      await eventually(async () => expect(await timeline(page).count()).toBe(2));

      await page.getByRole("button", { name: "Send all events shuffled, twice" }).click();
      await page.getByLabel("For how long").selectOption("for a moment");
      await page.getByRole("button", { name: "Cut connection" }).click();
      const shown: string[][] = [];
      await eventually(async () => {
        shown.push(await timeline(page).allInnerTexts());
        expect(shown.at(-1)).toEqual(whole);
      });

      for (const statuses of shown) expect(statuses).toEqual(whole.slice(0, statuses.length));
      const sent = page.getByRole("list", { name: /^Sent events/ }).getByRole("listitem");
      await eventually(async () => expect(await sent.count()).toBe(10));
      expect(await timeline(page).allInnerTexts()).toEqual(whole);
    });

    test("is not shown to others, whether it exists or not", async () => {
      const { url, call } = await startDevelopmentGateway();
      await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
      const { page } = await openAs("eve", url, "Orders");

      for (const orderId of ["o-1", "o-2"]) {
        await page.goto(`${url}/demo/#orders/${orderId}`);
        await eventually(async () => expect(await page.getByText("forbidden: Not allowed.").isVisible()).toBe(true));
      }
    });
  });

  /** The lowest level from here on: the bucket may be full again before anybody looks. */
  const watchLowest = `
    window.lowest = Infinity;
    new MutationObserver(([{ target }]) => {
      window.lowest = Math.min(window.lowest, Number(target.getAttribute("aria-valuenow")));
    }).observe(document.querySelector("[aria-valuenow]"), { attributeFilter: ["aria-valuenow"] });`;

  test("the bucket drains, refuses when it is empty, and fills again", async () => {
    const { url } = await startDevelopmentGateway();
    const { page } = await openAs("ada", url, "Bucket");
    const meter = page.getByRole("meter", { name: "Tokens in the bucket" });
    const level = async () => Number(await meter.getAttribute("aria-valuenow"));
    const tally = async () => (await page.locator(".tally dd").allInnerTexts()).slice(0, 2).map(Number);
    await eventually(async () => expect(await level()).toBe(50));
    await page.evaluate(watchLowest);

    let sent = 0;
    // Again if the machine was so slow that the bucket filled as fast as it was emptied.
    await eventually(async () => {
      await page.getByRole("button", { name: "Send 60" }).click();
      sent += 60;
      await eventually(async () => expect((await tally()).reduce((sum, count) => sum + count, 0)).toBe(sent));
      expect((await tally())[1]).toBeGreaterThan(0);
    });

    const [through = 0, refused = 0] = await tally();
    expect(through).toBeGreaterThanOrEqual(45);
    expect(await page.evaluate<number>("window.lowest")).toBeLessThan(50);
    await eventually(async () => expect(await level()).toBe(50));
    await page.getByRole("button", { name: "Send 10" }).click();
    await eventually(async () => expect(await tally()).toEqual([through + 10, refused]));
  });

  test("a client that keeps exceeding the limit is disconnected with the reason, and reconnects", async () => {
    const { url } = await startDevelopmentGateway();
    const { page } = await openAs("ada", url, "Bucket");
    const rate = page.getByLabel("Keep sending");

    await rate.selectOption("60 a second");

    await page.getByText("The gateway closes this connection. rate_limited").waitFor();
    await eventually(async () => expect(await rate.inputValue()).toBe("0"));
    await page.getByRole("banner").getByText("Connected").waitFor();
  });

  test("on a phone a cut shows its state and what was missed, though its button is below them", async () => {
    const { url } = await startDevelopmentGateway();
    const { page } = await openAs("ada", url, "Channels", { viewport: { width: 375, height: 720 } });
    const isInSight = async (text: string): Promise<boolean> => {
      const box = await page.getByText(text, { exact: true }).first().boundingBox();
      return box !== null && box.y >= 0 && box.y + box.height <= 720;
    };
    await page.getByLabel("For how long").selectOption("for 8 seconds");
    await page.getByRole("button", { name: "Cut connection" }).click();

    await page.getByRole("banner").getByText("Cut off").waitFor();
    await eventually(async () => expect(await isInSight("Cut off")).toBe(true), 5_000);
    await page.getByText("Missed while away, 3 of 3").waitFor();
    await eventually(async () => expect(await isInSight("Missed while away, 3 of 3")).toBe(true));
  });

  test("is operable by keyboard, and keeps its view after a reload", async () => {
    const { url } = await startDevelopmentGateway();
    const { page } = await openAs("ada", url, "Channels");
    await page.getByRole("link", { name: "Channels" }).focus();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("main", { name: "Race" }).waitFor();

    await page.getByRole("button", { name: "Score 10 for me" }).focus();
    await page.keyboard.press("Enter");
    await page.getByText("You are 1 of 1 with 10").waitFor();

    await page.reload();
    await page.getByText("You are 1 of 1 with 10").waitFor();
    await page.goBack();
    await page.getByRole("main", { name: "Channels" }).waitFor();
  });

  test.each([360, 768, 1280])("fit a window %i pixels wide, light and dark", async (width) => {
    const { url, call } = await startDevelopmentGateway();
    const name = "a-name-that-is-rather-longer-than-names-are";
    await call("PUT", `/v1/leaderboards/race/scores/${name}`, { score: 1e15 });
    await call("PUT", "/v1/leaderboards/race/scores/next", { score: 1e15 });
    await call("POST", "/v1/orders", { orderId: `o-${"x".repeat(60)}`, parties: { customer: name, courier: name } });
    for (const colorScheme of ["light", "dark"] as const) {
      const { page, ...demo } = await openDemo(browser, url, { viewport: { width, height: 740 }, colorScheme });
      await demo.signIn(name);
      for (const view of ["Race", "Orders", "Bucket"]) {
        await demo.openView(view);
        if (view === "Race") await page.locator(".is-own").first().waitFor();
        if (view === "Orders") await page.getByRole("link", { name: /^o-xxx/ }).click();
        if (view === "Orders") await page.getByRole("article").waitFor();
        expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
        expect(await page.evaluate("document.querySelector('.view').scrollWidth")).toBe(
          await page.evaluate("document.querySelector('.view').clientWidth"),
        );
      }
    }
  });
});
