import { describe, expect, it } from "vitest";
import { eventually } from "../support/world.ts";
import { client, contractServer, cut } from "./support.ts";

describe("a request", () => {
  it("answers with the contract's fields", async () => {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");

    const published = await lobby.publish("said", { text: "hello" });

    const epoch = server.log.get("chat:lobby")?.epoch;
    expect(published).toMatchObject({ channel: "chat:lobby", epoch, offset: 1, duplicate: false });
    expect((await lobby.history()).publications).toHaveLength(1);
    expect((await lobby.presence()).count).toBe(0);
  });

  it("rejects with the gateway's code and its delay", async () => {
    const server = await contractServer({
      refuseRequest: () => ({ code: "rate_limited", message: "Too many requests.", retryAfterMs: 70 }),
    });
    const published = client(server.url).channel("chat:lobby").publish("said", 1);

    await expect(published).rejects.toMatchObject({
      code: "rate_limited",
      message: "Too many requests.",
      retryAfterMs: 70,
    });
  });

  it("rejects with timeout without an answer, and with disconnected if the connection is lost first", async () => {
    const server = await contractServer({ refuseRequest: () => "silence" });
    const hasty = client(server.url, { requestTimeoutMs: 500 });
    const ada = client(server.url);
    await eventually(() => expect([hasty.state, ada.state]).toEqual(["connected", "connected"]));
    await expect(hasty.channel("chat:lobby").publish("said", 1)).rejects.toMatchObject({ code: "timeout" });
    await eventually(() => expect(server.requests).toHaveLength(1));

    const published = ada.channel("chat:lobby").publish("said", 2);
    await eventually(() => expect(server.requests).toHaveLength(2));
    cut(ada);

    await expect(published).rejects.toMatchObject({ code: "disconnected" });
  });

  it("waits for a connection", async () => {
    let handshakes = 0;
    const server = await contractServer({
      refuseHandshake: () => (++handshakes < 3 ? { code: "draining", message: "Going." } : undefined),
    });

    const published = await client(server.url).channel("chat:lobby").publish("said", 1);

    expect([published.offset, handshakes]).toEqual([1, 3]);
  });

  it("reports the round trip of the last answer", async () => {
    const server = await contractServer({ answerDelayMs: () => 30 });
    const ada = client(server.url);
    expect(ada.roundTripMs).toBeUndefined();
    await ada.sessions.list();
    expect(ada.roundTripMs).toBeGreaterThan(29);
  });
});

describe("a message that is too large or not JSON", () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;

  it.each([
    ["too many bytes", "ü".repeat(2_000), "payload_too_large"],
    ["bytes", new Uint8Array(3), "bad_request"],
    ["a Buffer", { deep: [Buffer.from("bytes")] }, "bad_request"],
    ["a BigInt", { count: 1n }, "bad_request"],
    ["a circle", circle, "bad_request"],
  ])("is refused by name before it is sent: %s", async (_, data, code) => {
    const server = await contractServer({ maxPayload: 4_000 });
    const ada = client(server.url);
    let cuts = 0;
    ada.on("state", ({ state }) => state === "disconnected" && (cuts += 1));
    const lobby = ada.channel("chat:lobby");
    const early = lobby.publish("said", data, { retries: 3 });

    await expect(early).rejects.toMatchObject({ code });
    await lobby.publish("said", "ü".repeat(1_900));
    await expect(lobby.publish("said", data, { retries: 3 })).rejects.toMatchObject({ code });

    expect([cuts, server.requests.length]).toEqual([0, 1]);
  });

  it("does not delay others, and requests made before the connection are sent in order", async () => {
    const server = await contractServer({ maxPayload: 4_000 });
    const lobby = client(server.url).channel("chat:lobby");

    const published = [1, "x".repeat(5_000), 3].map((data) => lobby.publish("said", data));

    const outcomes = await Promise.allSettled(published);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(server.log.get("chat:lobby")?.publications.map(({ data }) => data)).toEqual([1, 3]);
  });

  it("is not sent after its timeout", async () => {
    let isAway = true;
    const server = await contractServer({
      refuseHandshake: () => (isAway ? { code: "draining", message: "Going." } : undefined),
    });
    const ada = client(server.url, { requestTimeoutMs: 50 });
    await expect(ada.channel("chat:lobby").publish("said", 1)).rejects.toMatchObject({ code: "timeout" });

    isAway = false;
    await eventually(() => expect(ada.state).toBe("connected"));

    await eventually(() => ada.sessions.list());
    expect(server.requests.map(({ name }) => name)).not.toContain("publish");
  });
});

describe("a publication with retries", () => {
  it("is published once although its first answer was lost with the connection", async () => {
    let answersMs = 10_000;
    const server = await contractServer({ answerDelayMs: () => answersMs });
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const published = lobby.publish("said", "once", { retries: 3 });
    await eventually(() => expect(server.requests).toHaveLength(1));

    answersMs = 0;
    cut(ada);

    expect(await published).toMatchObject({ offset: 1, duplicate: true });
    expect(server.log.get("chat:lobby")?.offset).toBe(1);
    const keys = server.requests.map(({ message }) => (message as { idempotencyKey?: string }).idempotencyKey);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  });

  it("gives up after the retries, and at once if a retry is useless", async () => {
    let tries = 0;
    let code: "unavailable" | "forbidden" = "unavailable";
    const server = await contractServer({ refuseRequest: () => (tries++, { code, message: code }) });
    const lobby = client(server.url).channel("chat:lobby");

    await expect(lobby.publish("said", 1, { retries: 2 })).rejects.toMatchObject({ code: "unavailable" });
    expect(tries).toBe(3);
    code = "forbidden";
    await expect(lobby.publish("said", 1, { retries: 2 })).rejects.toMatchObject({ code: "forbidden" });
    expect(tries).toBe(4);
  });
});
