import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { TidegateError } from "../../src/client/client.ts";
import type { ErrorBody, ErrorCode } from "../../src/protocol/errors.ts";
import { promised, timed } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import type { ContractServer } from "./contract-server.ts";
import { client, contractServer, cut } from "./support.ts";

const refusal = (code: ErrorCode, retryAfterMs?: number): ErrorBody => ({
  code,
  message: code,
  ...(retryAfterMs !== undefined && { retryAfterMs }),
});

describe("a client whose handshake is refused", () => {
  it.each<ErrorCode>(["rate_limited", "draining", "unavailable", "connection_limit"])(
    "waits as long as the gateway asks and comes back: %s",
    async (code) => {
      const times: number[] = [];
      const server = await contractServer({
        refuseHandshake: () => (times.push(performance.now()) < 3 ? refusal(code, 40) : undefined),
      });
      const ada = client(server.url);

      await eventually(() => expect(ada.state).toBe("connected"));

      const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(39);
    },
  );

  it("calls its token function again and connects with the new token", async () => {
    const server = await contractServer({
      refuseHandshake: (token) => (token === "stale" ? refusal("token_expired") : undefined),
    });
    const given = ["stale", "fresh"];
    const ada = client(server.url, { token: async () => given.shift() ?? "none" });

    await eventually(() => expect(ada.state).toBe("connected"));

    expect(server.handshakes).toEqual(["stale", "fresh"]);
  });

  it.each<ErrorCode>(["unauthorized", "token_expired"])("closes after that with the reason: %s", async (code) => {
    const server = await contractServer({ refuseHandshake: () => refusal(code) });
    let asked = 0;
    const ada = client(server.url, { token: () => `head.token-${++asked}.signature` });
    const closed = new Promise<TidegateError>((resolve) => ada.on("closed", resolve));
    const subscribed = ada.channel("chat:lobby").subscribe();

    await expect(subscribed).rejects.toMatchObject({ code });
    expect((await closed).code).toBe(code);
    expect([ada.state, asked]).toEqual(["closed", 2]);
    await expect(ada.sessions.list()).rejects.toMatchObject({ code });
  });

  it.each<ErrorCode>(["unauthorized", "token_revoked", "session_expired", "user_blocked"])(
    "gives up at once where its only token is refused: %s",
    async (code) => {
      const server = await contractServer({ refuseHandshake: () => refusal(code) });
      const ada = client(server.url);

      await eventually(() => expect(ada.state).toBe("closed"));

      expect(server.handshakes).toHaveLength(1);
    },
  );

  it("keeps retrying while its token function fails", async () => {
    const server = await contractServer();
    let asked = 0;
    const ada = client(server.url, {
      token: () => (++asked < 4 ? Promise.reject(new Error("the login service is away")) : "token-1"),
    });

    await eventually(() => expect(ada.state).toBe("connected"));

    expect([asked, server.handshakes]).toEqual([4, ["token-1"]]);
  });

  it.each(["<html>Bad Gateway</html>", "", '{"error":"down"}', "Bad Gateway", undefined])(
    "takes a text that is no token for a failure of its provider: %j",
    async (page) => {
      const server = await contractServer();
      const given = [page, page, page, " token-1\n"];
      const ada = client(server.url, { token: async () => given.shift() as string });
      const told: unknown[] = [];
      ada.on("state", ({ error }) => error !== undefined && told.push(error.code));

      await eventually(() => expect(ada.state).toBe("connected"));

      expect([told, server.handshakes]).toEqual([["unavailable", "unavailable", "unavailable"], ["token-1"]]);
    },
  );

  it("does not close if a page of one word is refused as a token", async () => {
    const server = await contractServer({
      refuseHandshake: (token) => (token === "Forbidden" ? refusal("unauthorized") : undefined),
    });
    const given = ["Forbidden", "Forbidden", "Forbidden", "Forbidden"];
    const ada = client(server.url, { token: () => given.shift() ?? "token-1" });

    await eventually(() => expect(ada.state).toBe("connected"));

    expect(server.handshakes).toHaveLength(5);
  });

  it("keeps retrying without a server, and reports the error", async () => {
    const ada = client("http://127.0.0.1:9", { connectTimeoutMs: 5_000 });
    const codes: unknown[] = [];
    ada.on("state", ({ state, error, retryInMs }) => state === "disconnected" && codes.push(error?.code, retryInMs));

    await eventually(() => expect(codes.length).toBeGreaterThan(5));

    expect(codes.slice(0, 2)).toEqual(["disconnected", expect.any(Number)]);
  });
});

describe("a connected client", () => {
  it("calls its token function for every connection", async () => {
    const server = await contractServer();
    let asked = 0;
    const ada = client(server.url, { token: () => `token-${++asked}` });
    await eventually(() => expect(ada.state).toBe("connected"));

    server.cut();

    await eventually(() => expect(server.handshakes).toEqual(["token-1", "token-2"]));
  });

  it("refreshes its token before it expires, with retries", async () => {
    let refusals = 0;
    const server = await contractServer({
      refuseRequest: (name) => (name === "auth:refresh" && refusals++ < 2 ? refusal("unavailable") : undefined),
    });
    let asked = 0;
    const ada = client(server.url, { token: () => `token-${++asked}` });
    const expiring: number[] = [];
    ada.on("expiring", ({ expiresAt }) => expiring.push(expiresAt));
    await eventually(() => expect(ada.ready?.nodeId).toBe("node-1"));

    server.expireSoon(1_000);

    await eventually(() => expect(server.requests).toHaveLength(3));
    expect(server.requests.at(-1)).toEqual({ name: "auth:refresh", message: { token: "token-4" } });
    expect(expiring).toEqual([1_000]);
  });

  it.each([
    { code: "session_revoked", token: "token-1", state: "closed" },
    { code: "user_blocked", token: () => "token-1", state: "closed" },
    { code: "connection_replaced", token: () => "token-1", state: "closed" },
    { code: "token_expired", token: "token-1", state: "closed" },
    { code: "token_expired", token: () => "token-2", state: "connected" },
    { code: "token_expired", reconnect: false, token: () => "token-2", state: "closed" },
    { code: "slow_consumer", token: "token-1", state: "connected" },
    { code: "drain", token: "token-1", state: "connected" },
  ] as const)("that receives closing $code becomes $state", async ({ code, token, state, ...overrides }) => {
    const server = await contractServer();
    const ada = client(server.url, { token });
    const told: string[] = [];
    ada.on("closing", (closing) => told.push(`closing ${closing.code}`));
    ada.on("closed", (reason) => told.push(`closed ${reason.code}`));
    await eventually(() => expect(ada.state).toBe("connected"));

    server.close(code, overrides);

    await eventually(() => expect(told[0]).toBe(`closing ${code}`));
    await eventually(() => expect(ada.state).toBe(state));
    if (state === "connected") await eventually(() => expect(server.handshakes).toHaveLength(2));
    else expect(told).toEqual([`closing ${code}`, `closed ${code}`]);
  });

  it("moves to another node when its node drains, and misses nothing", timed, async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const seen: unknown[] = [];
    const lobby = ada.channel("chat:lobby");
    lobby.on("publication", ({ data }) => seen.push(data));
    await lobby.subscribe();

    const begun = performance.now();
    server.drain(100);
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(server.handshakes).toHaveLength(2));
    const tookMs = performance.now() - begun;
    server.publish("chat:lobby", "said", 2);

    await eventually(() => expect(seen).toEqual([1, 2]));
    expect(tookMs).toBeGreaterThan(70);
    // By itself it would wait for a second and more.
    expect(tookMs).toBeLessThan(promised(1_000));
  });

  it("emits each state once, with the reason of a disconnect", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const states: string[] = [];
    ada.on("state", ({ state, error }) => states.push(error === undefined ? state : `${state}: ${error.code}`));
    const lobby = ada.channel("chat:lobby");
    lobby.on("state", ({ state }) => states.push(`lobby ${state}`));
    await lobby.subscribe();
    server.cut();
    await eventually(() => expect(states.filter((line) => line === "lobby subscribed")).toHaveLength(2));
    server.close("session_revoked");

    await eventually(() => expect(ada.state).toBe("closed"));
    expect(states).toEqual([
      "lobby subscribing",
      "connected",
      "lobby subscribed",
      "disconnected: disconnected",
      "lobby recovering",
      "connecting",
      "recovering",
      "connected",
      "lobby subscribed",
      "closed: session_revoked",
      "lobby unsubscribed",
    ]);
  });

  it("does not reconnect after it was closed", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const states: string[] = [];
    ada.on("state", ({ state }) => states.push(state));
    const lobby = ada.channel("chat:lobby");
    await lobby.subscribe();

    ada.close();

    expect([ada.state, lobby.state]).toEqual(["closed", "unsubscribed"]);
    await expect(lobby.publish("said", 1)).rejects.toMatchObject({ code: "closed" });
    ada.reconnectNow();
    expect(states).toEqual(["connected", "closed"]);
  });
});

describe("a client in a page that wakes", () => {
  /** What a browser has, on the global object of a test. */
  function stubPage(): { hidden: boolean; dispatch: (type: string) => void; listeners: () => number } {
    const listeners = new Map<string, Set<(event: { type: string }) => void>>();
    const document = { hidden: false };
    vi.stubGlobal("document", document);
    vi.stubGlobal("addEventListener", (type: string, listener: () => void) =>
      listeners.set(type, (listeners.get(type) ?? new Set()).add(listener)),
    );
    vi.stubGlobal("removeEventListener", (type: string, listener: () => void) => listeners.get(type)?.delete(listener));
    onTestFinished(() => void vi.unstubAllGlobals());
    return Object.assign(document, {
      dispatch: (type: string) => listeners.get(type)?.forEach((listener) => listener({ type })),
      listeners: () => [...listeners.values()].reduce((sum, { size }) => sum + size, 0),
    });
  }

  const checks = (server: ContractServer): number =>
    server.requests.filter(({ name }) => name === "unsubscribe").length;

  it.each(["online", "pageshow", "visibilitychange"])("connects at once where it was waiting: %s", async (type) => {
    const page = stubPage();
    const server = await contractServer();
    const ada = client(server.url, { backoff: { minDelayMs: 60_000, maxDelayMs: 60_000 } });
    await eventually(() => expect(ada.state).toBe("connected"));
    cut(ada);
    await eventually(() => expect(ada.state).toBe("disconnected"));

    page.dispatch(type);

    await eventually(() => expect(ada.state).toBe("connected"));
  });

  it("leaves a connection on which nothing is answered, and recovers what it missed", async () => {
    const page = stubPage();
    let isDead = false;
    const server = await contractServer({ refuseRequest: () => (isDead ? "silence" : undefined) });
    const ada = client(server.url, { requestTimeoutMs: 2_000, backoff: { minDelayMs: 60_000, maxDelayMs: 60_000 } });
    const lobby = ada.channel("chat:lobby");
    await lobby.subscribe();
    const seen: unknown[] = [];
    lobby.on("publication", ({ data }) => seen.push(data));
    isDead = true;
    server.lose("chat:lobby", "message", "while it slept");
    // Before the next connection asks for anything.
    ada.on("state", ({ state }) => (isDead &&= state === "connected"));

    page.dispatch("pageshow");

    await eventually(() => expect(seen).toEqual(["while it slept"]));
  });

  it("keeps a connection that answers, and asks once at a time, and only where it is seen", async () => {
    const page = stubPage();
    const server = await contractServer();
    const ada = client(server.url);
    await eventually(() => expect(ada.state).toBe("connected"));

    page.dispatch("visibilitychange");
    page.dispatch("pageshow");
    await eventually(() => expect(checks(server)).toBe(1));
    page.hidden = true;
    page.dispatch("visibilitychange");
    await ada.request("history", { channel: "chat:lobby" });

    expect([checks(server), server.handshakes.length, ada.state]).toEqual([1, 1, "connected"]);
    ada.close();
    expect(page.listeners()).toBe(0);
  });
});
