import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import type { EngineDeps } from "../../src/engine/engine.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { startEngine, type TestEngine } from "../support/engine.ts";
import { frame, RawPolling, rawRequest, RawSocket, statusOf, upgradeRequest } from "../support/hostile.ts";

const polling = "/socket.io/?EIO=4&transport=polling";
const websocket = "EIO=4&transport=websocket";
const head = (answer: string): boolean => answer.includes("\r\n\r\n");

const greeting = { sid: expect.any(String) as unknown, pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 131_072 };

describe("a connection begins", () => {
  it("on polling with an open packet that offers a WebSocket", async () => {
    const { url } = await startEngine();

    const response = await fetch(url + polling);

    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; charset=UTF-8");
    expect(response.headers.get("cache-control")).toBe("no-store");
    const packet = await response.text();
    expect(packet[0]).toBe("0");
    expect(JSON.parse(packet.slice(1))).toEqual({ ...greeting, upgrades: ["websocket"] });
  });

  it("on a WebSocket with an open packet that offers nothing better", async () => {
    const client = await new RawSocket(await startEngine()).opened();

    expect(JSON.parse(client.received[0]?.slice(1) ?? "")).toEqual({ ...greeting, upgrades: [] });
  });

  it("under an id that nobody can guess", async () => {
    const { url } = await startEngine();

    const packets = await Promise.all(Array.from({ length: 50 }, async () => (await fetch(url + polling)).text()));

    const ids = packets.map((packet) => (JSON.parse(packet.slice(1)) as { sid: string }).sid);
    expect(new Set(ids).size).toBe(50);
    expect(ids.every((id) => /^[\w-]{20}$/.test(id))).toBe(true);
  });

  it("on a WebSocket with the answer and the open packet in one piece", async () => {
    const engine = await startEngine();
    const pieces: string[] = [];

    const answer = await rawRequest(engine, upgradeRequest(websocket), (text) => {
      pieces.push(text);
      return text.includes("maxPayload");
    });

    expect(pieces).toHaveLength(1);
    expect(answer).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/);
    expect(answer).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    expect(answer).not.toContain("Sec-WebSocket-Protocol");
  });

  it("with the first of the protocols that a client names", async () => {
    const headers = { "Sec-WebSocket-Protocol": "one, two" };

    const answer = await rawRequest(await startEngine(), upgradeRequest(websocket, headers), head);

    expect(answer).toContain("Sec-WebSocket-Protocol: one\r\n");
  });

  it("with what a client sends right behind its request", async () => {
    const engine = await startEngine();
    const request = Buffer.concat([Buffer.from(upgradeRequest(websocket)), frame(0x81, "4early")]);

    const answer = await rawRequest(engine, request, (text) => text.includes("4early"));

    expect(answer).toMatch(/^HTTP\/1\.1 101 [^]*maxPayload[^]*4early$/);
  });

  it("and is told what is wrong with that behind the answer", async () => {
    const request = Buffer.concat([Buffer.from(upgradeRequest(websocket)), frame(0x81, "4early", false)]);

    const answer = await rawRequest(await startEngine(), request);

    expect(answer).toMatch(/^HTTP\/1\.1 101 [^]*maxPayload/);
    // The close frame's code is 1002; its first and last bytes are no UTF-8.
    expect(answer.slice(-4)).toBe("\ufffd\u0002\u0003\ufffd");
  });
});

describe("a request is refused", () => {
  it.each([
    ["an unknown transport", `/socket.io/?EIO=4&transport=carrier`, {}, { code: 0, message: "Transport unknown" }],
    ["an unknown id", `${polling}&sid=unknown`, {}, { code: 1, message: "Session ID unknown" }],
    ["a first POST", polling, { method: "POST", body: "40" }, { code: 2, message: "Bad handshake method" }],
    ["a WebSocket's transport without an upgrade", `/socket.io/?EIO=4&transport=websocket`, {}, { code: 3 }],
    ["an answer as a script", `${polling}&j=0`, {}, { code: 3 }],
  ])("by the protocol's own number: %s", async (_, path, init, expected) => {
    const { url, refused } = await startEngine();

    const response = await fetch(url + path, init);

    expect(response.status).toBe(400);
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(await response.json()).toMatchObject(expected);
    expect(refused).toHaveLength(1);
  });

  it("by its number too if the connection has moved to a WebSocket", async () => {
    const engine = await startEngine();
    const client = await new RawSocket(engine).opened();
    const { sid } = JSON.parse(client.received[0]?.slice(1) ?? "") as { sid: string };

    const response = await fetch(`${engine.url}${polling}&sid=${sid}`);

    expect([response.status, await response.json()]).toEqual([400, { code: 3, message: "Bad request" }]);
  });

  it.each([
    ["another revision of the protocol", "/socket.io/?EIO=3&transport=polling", {}, 400, 5],
    ["a foreign origin", polling, { headers: { Origin: "https://evil.example" } }, 403, "forbidden"],
  ])("by name: %s", async (_, path, init, status, code) => {
    const { url } = await startEngine({ allowedOrigins: ["https://app.example"] });

    const response = await fetch(url + path, init);

    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
  });

  it("with the methods that there are, if it continues a connection by another", async () => {
    const engine = await startEngine();
    const { url } = await new RawPolling(engine).opened();

    const response = await fetch(url, { method: "DELETE" });

    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, POST, OPTIONS"]);
  });

  it.each([
    ["no key", { "Sec-WebSocket-Key": "" }],
    ["a key that is too short", { "Sec-WebSocket-Key": "dGhlIHNhbXBsZQ==" }],
    ["another version of WebSocket", { "Sec-WebSocket-Version": "8" }],
    ["a protocol that is no name", { "Sec-WebSocket-Protocol": "a b" }],
    ["an empty protocol", { "Sec-WebSocket-Protocol": "a,,b" }],
  ])("if its WebSocket handshake has %s", async (_, headers) => {
    const engine = await startEngine();

    const answer = await rawRequest(engine, upgradeRequest(websocket, headers));

    expect(statusOf(answer)).toBe(400);
    expect(engine.engine.clientsCount).toBe(0);
  });

  it.each(["polling", "websocket"])("over %s with 503 and the time to wait, for a reason that passes", async (name) => {
    const refusal = new GatewayError("draining", undefined, { retryAfterMs: 1_500 });
    const engine = await startEngine({ admit: () => Promise.resolve(refusal) });

    const request = name === "polling" ? `GET ${polling} HTTP/1.1\r\nHost: x\r\n\r\n` : upgradeRequest(websocket);
    const answer = await rawRequest(engine, request, (text) => text.includes("}"));

    expect(statusOf(answer)).toBe(503);
    expect(answer).toMatch(/Retry-After: 2\r\n/);
    expect(answer).toContain('{"code":"draining","message":"This node is shutting down.","retryAfterMs":1500}');
    expect(engine.sockets).toEqual([]);
  });
});

it("leaves other paths to others", async () => {
  const { url } = await startEngine();

  expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
});

describe("a client that resets its connection while its request waits", () => {
  it.each<[string, (engine: TestEngine) => void, Partial<EngineDeps>]>([
    ["to be admitted", () => undefined, { admit: () => new Promise(() => undefined) }],
    ["for middleware", ({ engine }) => void engine.use(() => undefined), {}],
  ])("%s leaves nothing behind", async (_, setUp, options) => {
    const engine = await startEngine(options);
    setUp(engine);
    const reset = new Promise((resolve) =>
      engine.server.once("upgrade", (_request, socket) => socket.once("close", resolve)),
    );
    const line = connect(engine.port, "127.0.0.1");

    line.write(upgradeRequest(websocket), () => line.resetAndDestroy());

    // Vitest fails on what nobody catches.
    await reset;
    expect(engine.sockets).toEqual([]);
  });
});
