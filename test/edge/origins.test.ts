import { describe, expect, it } from "vitest";
import { readableLog, startEdge, type Edge } from "../support/edge.ts";
import { RawPolling, RawSocket, rawRequest, statusOf, upgradeRequest } from "../support/hostile.ts";

const allowedOrigins = [
  "https://app.example",
  "http://localhost:5173",
  "https://app.example:8443",
  "capacitor://localhost",
];

const foreign = [
  "https://evil.example",
  "null",
  "",
  "https://app.example.evil.com",
  "https://evil.com/https://app.example",
  "https://app.example@evil.com",
  "https://user@app.example",
  "https://app.example/path",
  "https://app.example?x",
  "http://app.example",
  "https://app.example:444",
  "https://app.example, https://evil.example",
  "//app.example",
  "app.example",
  "https://aрp.example",
  "javascript:alert(1)",
  "file:///etc",
];

const own = [...allowedOrigins, "HTTPS://APP.EXAMPLE", "https://app.example:443", "Capacitor://LOCALHOST"];

const polling = "/socket.io/?EIO=4&transport=polling";
const websocket = "EIO=4&transport=websocket";
const fetched = (
  edge: Edge,
  origin: string,
  path = polling,
  { headers = {}, ...init }: Omit<RequestInit, "headers"> & { headers?: Record<string, string> } = {},
): Promise<Response> =>
  fetch(edge.url + path, { ...init, headers: { Origin: Buffer.from(origin).toString("latin1"), ...headers } });
const upgraded = async (edge: Edge, origin: string, query = websocket): Promise<number> =>
  statusOf(await rawRequest(edge, upgradeRequest(query, { Origin: origin }), (answer) => answer.includes("\r\n\r\n")));

describe("with a list of origins", () => {
  it.each(foreign)("refuses %j with 403 on both transports", async (origin) => {
    const edge = await startEdge({ allowedOrigins });

    const response = await fetched(edge, origin);

    expect(response.status).toBe(403);
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
    expect(await response.json()).toMatchObject({ code: "forbidden" });
    expect(await upgraded(edge, origin)).toBe(403);
  });

  it.each(own)("accepts %j on both transports", async (origin) => {
    const edge = await startEdge({ allowedOrigins });

    const response = await fetched(edge, origin);

    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("vary")).toBe("Origin");
    expect(await upgraded(edge, origin)).toBe(101);
  });

  it("accepts whoever sends no origin: it is no browser", async () => {
    const edge = await startEdge({ allowedOrigins });

    expect((await fetch(edge.url + polling)).status).toBe(200);
    await new RawSocket(edge).entered();
  });

  it("looks at every request of a connection, not only the first", async () => {
    const edge = await startEdge({ allowedOrigins });
    const client = await new RawPolling(edge).entered();
    const path = `${polling}&sid=${client.sid}`;

    const posted = await fetched(edge, "https://evil.example", path, { method: "POST", body: '42["echo",{}]' });

    expect(posted.status).toBe(403);
    expect((await fetched(edge, "https://evil.example", path)).status).toBe(403);
    expect(await upgraded(edge, "https://evil.example", `${websocket}&sid=${client.sid}`)).toBe(403);
    expect(edge.sockets.connections.count).toBe(1);
  });

  it("answers preflights of its own pages only", async () => {
    const edge = await startEdge({ allowedOrigins });
    const headers = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization" };

    const allowed = await fetched(edge, "https://app.example", polling, { method: "OPTIONS", headers });
    const refused = await fetched(edge, "https://evil.example", polling, { method: "OPTIONS", headers });

    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(allowed.headers.get("access-control-allow-headers")).toContain("Authorization");
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("lets its pages read why they were refused", async () => {
    const edge = await startEdge({ allowedOrigins });

    const response = await fetched(edge, "https://app.example", `${polling}&sid=unknown`);

    expect(response.status).toBe(400);
    expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
  });
});

describe("with origins that have no host of their own, or a * in them", () => {
  const some = ["file://", "null", "https://*.app.example", "http://localhost:*", "app://-"];

  it.each([
    "file://",
    "null",
    "https://a.app.example",
    "https://a.b.app.example",
    "http://localhost",
    "http://localhost:5173",
    "app://-",
  ])("accepts %j on both transports", async (origin) => {
    const edge = await startEdge({ allowedOrigins: some });

    const response = await fetched(edge, origin);

    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(await upgraded(edge, origin)).toBe(101);
  });

  it.each([
    "https://app.example",
    "https://evilapp.example",
    "https://.app.example",
    "https://evil.com/.app.example",
    "https://a.app.example.evil.com",
    "http://a.app.example",
    "https://a.app.example:8443",
    "http://localhost.evil.com:5173",
    "http://localhost:x",
    "file:///etc",
    "app://other",
  ])("refuses %j", async (origin) => {
    const edge = await startEdge({ allowedOrigins: some });

    expect((await fetched(edge, origin)).status).toBe(403);
    expect(await upgraded(edge, origin)).toBe(403);
  });

  it("lends no cookies to the origin of every sandboxed page", async () => {
    const edge = await startEdge({ allowedOrigins: some });

    expect((await fetched(edge, "null")).headers.get("access-control-allow-credentials")).toBeNull();
  });
});

describe("an app that sends the address it connects to as its origin", () => {
  const handshake = (host: string, origin: string) => upgradeRequest(websocket, { Host: host, Origin: origin });

  it.each([
    ["gateway.example", "https://gateway.example"],
    ["gateway.example:443", "https://gateway.example"],
    ["gateway.example", "https://gateway.example:443"],
    ["Gateway.Example:8443", "https://gateway.example:8443"],
    ["[::1]:3000", "http://[::1]:3000"],
  ])("is let in at %s as %s", async (host, origin) => {
    expect(await answerTo(handshake(host, origin))).toBe(101);
  });

  it.each([
    ["gateway.example", "https://evil.example"],
    ["gateway.example", "https://gateway.example:8443"],
    ["gateway.example", "https://gateway.example.evil.example"],
    ["gateway.example", "capacitor://gateway.example"],
    ["gateway.example", "https://gateway.example/path"],
  ])("and another is not: at %s as %s", async (host, origin) => {
    expect(await answerTo(handshake(host, origin))).toBe(403);
  });

  async function answerTo(request: string): Promise<number> {
    const edge = await startEdge({ allowedOrigins });
    return statusOf(await rawRequest(edge, request, (answer) => answer.includes("\r\n\r\n")));
  }
});

it("an origin that was refused is named in the log, at a pace", async () => {
  const { log, lines } = readableLog();
  const edge = await startEdge({ allowedOrigins, log });

  await fetched(edge, "https://forgotten.example");
  await fetched(edge, "https://forgotten.example");

  expect(lines).toMatchObject([{ level: "warn", origin: "https://forgotten.example" }]);
});

describe("with any origin allowed", () => {
  it.each(["https://evil.example", "null"])("accepts %s, but never with credentials", async (origin) => {
    const edge = await startEdge({ allowedOrigins: "*" });

    const response = await fetched(edge, origin);

    expect(response.status).toBe(200);
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-credentials")).toBeNull();
    expect(await upgraded(edge, origin)).toBe(101);
  });
});
