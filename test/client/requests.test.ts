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

  it("rejects with timeout where no answer comes, and with disconnected where the connection goes first", async () => {
    const server = await contractServer({ refuseRequest: () => "silence" });
    const ada = client(server.url, { requestTimeoutMs: 50 });
    const lobby = ada.channel("chat:lobby");
    await expect(lobby.publish("said", 1)).rejects.toMatchObject({ code: "timeout" });

    const published = lobby.publish("said", 2);
    await eventually(() => expect(server.requests).toHaveLength(2));
    cut(ada);

    await expect(published).rejects.toMatchObject({ code: "disconnected" });
  });

  it("waits for a connection that is still to come", async () => {
    let handshakes = 0;
    const server = await contractServer({
      refuseHandshake: () => (++handshakes < 3 ? { code: "draining", message: "Going." } : undefined),
    });

    const published = await client(server.url).channel("chat:lobby").publish("said", 1);

    expect([published.offset, handshakes]).toEqual([1, 3]);
  });

  it("tells the round trip of the last answer", async () => {
    const server = await contractServer({ answerDelayMs: () => 30 });
    const ada = client(server.url);
    expect(ada.roundTripMs).toBeUndefined();
    await ada.sessions.list();
    expect(ada.roundTripMs).toBeGreaterThan(29);
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

  it("gives up after so many, and at once where a repeat would change nothing", async () => {
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
