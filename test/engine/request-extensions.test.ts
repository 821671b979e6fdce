import { once } from "node:events";
import type { OutgoingHttpHeaders } from "node:http";
import { describe, expect, it } from "vitest";
import { startEngine } from "../support/engine.ts";
import { rawRequest, RawSocket, upgradeRequest } from "../support/hostile.ts";

const polling = "/socket.io/?EIO=4&transport=polling";
const websocket = "EIO=4&transport=websocket";
const head = (answer: string): boolean => answer.includes("\r\n\r\n");

describe("middleware of io.engine.use", () => {
  it("runs in its order before each request, on both transports, and adds to the request and its answer", async () => {
    const engine = await startEngine();
    const seen: string[] = [];
    engine.engine.use((request, response, next) => {
      seen.push(`1 ${request.method}`);
      Object.assign(request, { session: { user: "ann" } });
      response.setHeader("Set-Cookie", ["a=1", "b=2"]);
      setImmediate(next);
    });
    engine.engine.use((_request, _response, next) => {
      seen.push("2");
      next();
    });

    const answer = await fetch(engine.url + polling);
    const upgraded = await rawRequest(engine, upgradeRequest(websocket), head);

    expect(answer.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(upgraded).toMatch(/^HTTP\/1\.1 101 /);
    expect(upgraded).toContain("set-cookie: a=1\r\nset-cookie: b=2\r\n");
    expect(seen).toEqual(["1 GET", "2", "1 GET", "2"]);
    expect(engine.sockets.map(({ request }) => request)).toMatchObject(
      Array.from({ length: 2 }, () => ({ session: { user: "ann" } })),
    );
  });

  it("refuses a request with an error, and one that throws is reported", async () => {
    const engine = await startEngine();
    engine.engine.use(({ url }, _response, next) => {
      if (url?.includes("throw") === true) throw new Error("of the app");
      next(new Error("nobody"));
    });

    expect((await fetch(engine.url + polling)).status).toBe(400);
    expect(await rawRequest(engine, upgradeRequest(websocket), head)).toMatch(/^HTTP\/1\.1 400 /);
    await expect(fetch(`${engine.url}${polling}&throw=1`)).rejects.toThrow();

    expect(engine.sockets).toEqual([]);
    expect(engine.reported).toEqual([new Error("of the app")]);
  });

  it("may answer by itself, which ends an upgrade", async () => {
    const engine = await startEngine();
    engine.engine.use((_request, response) => void response.writeHead(402).end());

    expect((await fetch(engine.url + polling)).status).toBe(402);
    expect(await rawRequest(engine, upgradeRequest(websocket), () => false)).toBe("");

    expect(engine.sockets).toEqual([]);
  });

  it("must be a function", async () => {
    const { engine } = await startEngine();

    expect(() => (engine as { use(value: unknown): unknown }).use("cors")).toThrow(TypeError);
  });
});

it("listeners add headers to the first answer of a connection, and to each", async () => {
  const engine = await startEngine();
  engine.engine.on("initial_headers", (headers: OutgoingHttpHeaders) => (headers["x-first"] = "1"));
  engine.engine.on("headers", (headers: OutgoingHttpHeaders) => (headers["x-each"] = "1"));
  const named = ({ headers }: Response): (string | null)[] => [headers.get("x-first"), headers.get("x-each")];

  const first = await fetch(engine.url + polling);
  const { sid } = JSON.parse((await first.text()).slice(1)) as { sid: string };
  const next = await fetch(`${engine.url}${polling}&sid=${sid}`, { method: "POST", body: "4hello" });
  const upgraded = await rawRequest(engine, upgradeRequest(websocket), head);

  expect(named(first)).toEqual(["1", "1"]);
  expect(named(next)).toEqual([null, "1"]);
  expect(upgraded).toContain("x-first: 1\r\nx-each: 1\r\n");
  expect((await new RawSocket(engine).opened()).received).toHaveLength(1);
});

it("a refused request is told to listeners of connection_error, with Socket.IO's number", async () => {
  const { engine, url } = await startEngine({ allowedOrigins: ["https://good.example"] });
  const told = async (request: () => Promise<unknown>): Promise<unknown> => {
    const [error] = await Promise.all([once(engine, "connection_error"), request()]);
    return error[0];
  };

  expect(await told(() => fetch(`${url}/socket.io/?EIO=4&transport=smoke`))).toMatchObject({
    code: 0,
    message: "Transport unknown",
    req: { method: "GET" },
  });
  expect(await told(() => fetch(url + polling, { headers: { Origin: "https://bad.example" } }))).toMatchObject({
    code: 4,
    context: { code: "forbidden" },
  });
});
