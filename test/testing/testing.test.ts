import { execFile } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createTestGateway, type TestGateway } from "../../src/testing/testing.ts";

const minute = 60_000;
/** What is to come may take a while on a busy machine. */
const patient = { timeoutMs: 30_000 };

describe("a test gateway", () => {
  let gateway: TestGateway;

  beforeAll(async () => {
    gateway = await createTestGateway({
      channels: { chat: { subscribe: "public", publish: "public", history: { size: 10, ttlSeconds: 3_600 } } },
      config: {
        orders: { timeouts: { created: { afterSeconds: 600, to: "cancelled" } } },
        limits: { custom: { sms: { capacity: 1, refillPerSecond: 0.01 } } },
      },
      app: (own) => own.on("greet", ({ user }, name: string) => `Hello ${name}, says ${user.userId}`),
    });
  }, 120_000);

  afterAll(async () => void (await gateway?.close()));

  test("serves stock clients, whose events can be awaited after they have come", async () => {
    const [ann, bob] = await Promise.all([gateway.connect("ann"), gateway.connect("bob")]);
    await bob.request("subscribe", { channel: "chat:1" });

    await ann.request("publish", { channel: "chat:1", event: "said", data: 1 });
    await ann.request("publish", { channel: "chat:1", event: "said", data: 2 });

    expect(await ann.request("greet", "Bob")).toBe("Hello Bob, says ann");
    expect(await bob.next("publication", patient)).toMatchObject({ data: 1, offset: 1, from: { userId: "ann" } });
    expect(await bob.next("publication", patient)).toMatchObject({ data: 2, offset: 2 });
    expect(bob.all("publication")).toHaveLength(2);
    await expect(bob.next("publication", { timeoutMs: 20 })).rejects.toThrow("no publication within 20 ms");
  });

  test("ends tokens when their time has come", async () => {
    const ann = await gateway.connect("ann", { client: { reconnection: false } });

    await gateway.clock.advance(20 * minute);

    expect(await ann.next("closing", patient)).toMatchObject({ code: "token_expired" });
    expect(await ann.next("disconnect", patient)).toEqual(expect.any(String));
  });

  test("publishes what was scheduled, moves forgotten orders and refills limits", async () => {
    const ann = await gateway.connect("ann");
    await ann.request("subscribe", { channel: "chat:2" });
    await gateway.publish({ channel: "chat:2", event: "said", data: "later", delayMs: 5 * minute });
    await gateway.orders.create({ orderId: "o-1", parties: { customer: "ann" } });
    await ann.request("subscribe", { channel: "order:o-1" });
    expect((await gateway.limits.take("sms", { key: "ann" })).allowed).toBe(true);
    expect((await gateway.limits.take("sms", { key: "ann" })).allowed).toBe(false);

    await gateway.clock.advance(6 * minute);
    expect(await ann.next("publication", patient)).toMatchObject({ channel: "chat:2", data: "later" });
    expect((await gateway.limits.take("sms", { key: "ann" })).allowed).toBe(true);

    expect((await gateway.orders.get("o-1")).order.status).toBe("created");
    await gateway.clock.advance(5 * minute);
    const moved = { channel: "order:o-1", data: { status: "cancelled" } };
    expect(await ann.next("publication", patient)).toMatchObject(moved);
  });

  test("lets what Redis keeps expire", async () => {
    await gateway.publish({ channel: "chat:3", event: "said", data: 1 });
    const { sessionId } = await gateway.sessions.create({ userId: "eve", ttlSeconds: 1_800 });

    await gateway.clock.advance(70 * minute);

    expect((await gateway.channels.history("chat:3")).publications).toEqual([]);
    await expect(gateway.sessions.get(sessionId)).rejects.toMatchObject({ code: "not_found" });
    expect(Math.abs(gateway.clock.now() - Date.now())).toBeGreaterThan(60 * minute);
  });

  test("has other nodes beside it, with the same store and clock", async () => {
    const other = await createTestGateway({
      beside: gateway,
      channels: { chat: { subscribe: "public", publish: "public" } },
    });
    onTestFinished(async () => void (await other.close()));
    const [ann, bob] = await Promise.all([gateway.connect("ann"), other.connect("bob")]);
    await bob.request("subscribe", { channel: "chat:4" });

    await ann.request("publish", { channel: "chat:4", event: "said", data: 1 });
    expect(await bob.next("publication", patient)).toMatchObject({ data: 1 });
    await gateway.clock.advance(20 * minute);

    expect(await ann.next("closing", patient)).toMatchObject({ code: "token_expired" });
    expect(await bob.next("closing", patient)).toMatchObject({ code: "token_expired" });
  });

  test("goes on when another beside it has closed, be it twice, or could not be created", async () => {
    const other = await createTestGateway({ beside: gateway });
    await other.close();
    await other.close();
    const failure = new Error("of the app");
    const broken = createTestGateway({ beside: gateway, app: () => Promise.reject(failure) });
    await expect(broken).rejects.toThrow(failure);

    await gateway.clock.advance(minute);

    const ann = await gateway.connect("ann");
    await ann.request("subscribe", { channel: "chat:5" });
    await gateway.publish({ channel: "chat:5", event: "said", data: 1 });
    expect(await ann.next("publication", patient)).toMatchObject({ data: 1 });
  });
});

test("a test gateway whose app or settings are wrong leaves nothing behind that keeps the process alive", async () => {
  const program = `
    import { createTestGateway } from "./src/testing/testing.ts";
    for (const options of [{ app: () => { throw new Error("of the app"); } }, { env: { PORT: "x" } }])
      await createTestGateway(options).catch((error) => console.log(error.message));
  `;
  const node = execFile(process.execPath, ["--input-type=module", "--eval", program], { timeout: 150_000 });
  let printed = "";
  node.stdout?.on("data", (text: string) => (printed += text));

  expect(await once(node, "exit")).toEqual([0, null]);
  expect(printed).toMatch(/^of the app\nInvalid configuration:/);
}, 160_000);
