import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { apiKey, publishBody, sendRaw, startHttp } from "./support.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { startGateway } from "../support/gateway.ts";
import { promised, timed } from "../support/promised.ts";

const body = JSON.stringify(publishBody);
const key = `Authorization: Bearer ${apiKey}\r\n`;
const json = "Content-Type: application/json\r\n";
const head = `POST /v1/publish HTTP/1.1\r\nHost: x\r\n${key}${json}`;
const smuggled = `GET /v1/channels HTTP/1.1\r\nHost: x\r\n${key}\r\n`;

const answersIn = (text: string): string[] => text.match(/HTTP\/1\.1 \d{3}/g) ?? [];

describe("smuggling", () => {
  it.each([
    [
      "both Transfer-Encoding and Content-Length",
      `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["two Content-Lengths", `${head}Content-Length: ${body.length}\r\nContent-Length: 5\r\n\r\n${body}`],
    ["two equal Content-Lengths", `${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345`],
    ["a list of Content-Lengths", `${head}Content-Length: 5, 5\r\n\r\n12345`],
    ["a negative Content-Length", `${head}Content-Length: -1\r\n\r\n`],
    ["a signed Content-Length", `${head}Content-Length: +5\r\n\r\n12345`],
    ["an encoding after chunked", `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
    ["an unknown encoding", `${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
    ["a space before the colon", `${head}Content-Length : 5\r\n\r\n12345`],
    ["a folded header", `${head}X-A: 1\r\n Content-Length: 5\r\nContent-Length: 0\r\n\r\n`],
    ["bare line feeds", `POST /v1/publish HTTP/1.1\nHost: x\n${key.replace("\r", "")}Content-Length: 0\n\n`],
    ["a bare carriage return", `${head}X-A: 1\rContent-Length: 5\r\n\r\n12345`],
    ["a NUL in a header", `${head}X-A: a\0b\r\nContent-Length: 0\r\n\r\n`],
    ["a chunk size that is none", `${head}Transfer-Encoding: chunked\r\n\r\n0x5\r\n12345\r\n0\r\n\r\n`],
    ["two Hosts", `POST /v1/publish HTTP/1.1\r\nHost: x\r\nHost: y\r\n${key}Content-Length: 0\r\n\r\n`],
    ["a space in the target", `POST /v1/publish /x HTTP/1.1\r\nHost: x\r\n${key}Content-Length: 0\r\n\r\n`],
    ["an unknown version", `POST /v1/publish HTTP/1.9\r\nHost: x\r\n${key}Content-Length: 0\r\n\r\n`],
  ])("with %s is answered 400, and nothing behind it is", async (_name, request) => {
    const { http, channels } = await startHttp();

    const answer = await sendRaw(http.port, request + smuggled);

    expect(answersIn(answer)).toEqual(["HTTP/1.1 400"]);
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toMatchObject({ code: "bad_request", status: 400 });
    expect(channels.requests).toEqual([]);
  });

  it("a target in absolute form means its path, and opens nothing by its host", async () => {
    const { http } = await startHttp();
    const rest = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

    const withKey = await sendRaw(http.port, `GET http://elsewhere/v1/channels ${rest}${key}\r\n`);
    const without = await sendRaw(http.port, `GET http://localhost/v1/channels ${rest}\r\n`);

    expect(answersIn(withKey)).toEqual(["HTTP/1.1 200"]);
    expect(answersIn(without)).toEqual(["HTTP/1.1 401"]);
  });

  it.each([
    [
      "an upgrade to h2c",
      `GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\r\n`,
      "200",
    ],
    ["HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"],
    ["CONNECT", "CONNECT elsewhere:80 HTTP/1.1\r\nHost: x\r\n\r\n", undefined],
    ["a target of 20,000 characters", `GET /${"a".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, "431"],
  ])("%s leads nowhere", async (_name, request, status) => {
    const { http } = await startHttp();

    const answer = await sendRaw(http.port, request);

    expect(answersIn(answer)).toEqual(status === undefined ? [] : [`HTTP/1.1 ${status}`]);
  });

  it.each([
    ["without a Host", `POST /v1/publish HTTP/1.1\r\n${key}${json}Content-Length: 0\r\n\r\n`, 400],
    ["that expects more than 100-continue", `${head}Expect: 200-ok\r\nContent-Length: 0\r\n\r\n`, 417],
    ["with 3,000 headers", `${head}${"X-A: 1\r\n".repeat(3_000)}\r\n`, 431],
  ])("a request %s gets a problem, and nothing behind it is answered", async (_name, request, status) => {
    const { http, channels, metrics } = await startHttp();

    const answer = await sendRaw(http.port, request + smuggled);

    expect(answersIn(answer)).toEqual([`HTTP/1.1 ${status}`]);
    expect(answer).toContain("application/problem+json");
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toMatchObject({ code: "bad_request", status });
    expect(await metrics.registry.metrics()).toContain(`{route="malformed",status="${status}"`);
    expect(channels.requests).toEqual([]);
  });

  it("a Socket.IO client without a Host gets one, too", async () => {
    const { port } = new URL((await startGateway()).url);

    const answer = await sendRaw(Number(port), "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n");

    expect(answersIn(answer)).toEqual(["HTTP/1.1 400"]);
    expect(answer).toContain("Send exactly one Host header.");
  });

  it("a request of HTTP/1.0 needs no Host", async () => {
    const { http } = await startHttp();

    expect(answersIn(await sendRaw(http.port, "GET /healthz HTTP/1.0\r\n\r\n"))).toEqual(["HTTP/1.1 200"]);
  });

  it("a wrong target of * is not found", async () => {
    const { http } = await startHttp();

    expect(await sendRaw(http.port, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).toMatch(/ 404 /);
  });
});

describe("slowness", () => {
  const requestTimeoutMs = 1_000;

  it.each([
    ["half a header", "POST /v1/publish HTTP/1.1\r\nHost: x\r\nX-A: ", [408]],
    ["nothing at all", "", [408]],
    ["half a body", `${head}Content-Length: 5000\r\n\r\n{"channel":`, [408]],
    ["half a refused body", "POST /v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{", [401]],
  ])("with %s is cut", timed, async (_name, sent, statuses) => {
    const { http } = await startHttp({}, { requestTimeoutMs });

    const begun = performance.now();
    const answer = await sendRaw(http.port, sent);

    expect(performance.now() - begun).toBeLessThan(promised(2_000));
    expect(answersIn(answer)).toEqual(statuses.map((status) => `HTTP/1.1 ${status}`));
  });

  it("of a byte now and then is cut as well, and costs nobody else anything", async () => {
    const { http, call } = await startHttp({}, { requestTimeoutMs });
    const socket = connect(http.port, "127.0.0.1");
    let isCut = false;
    socket.on("error", () => undefined).once("close", () => (isCut = true));
    socket.write(`${head}Content-Length: 5000\r\n\r\n`);

    await expect
      .poll(
        async () => {
          socket.write("x");
          expect((await call("/v1/publish", { body: publishBody })).status).toBe(200);
          return isCut;
        },
        { interval: 100, timeout: 20_000 },
      )
      .toBe(true);
  });

  it("a client that goes away in the middle of its body is forgotten", async () => {
    const { http, call, lines } = await startHttp();
    const socket = connect(http.port, "127.0.0.1");
    socket.write(`${head}Content-Length: 5000\r\n\r\n{"channel":`, () => socket.destroy());

    await expect.poll(() => lines.filter((line) => line.includes('"status":499'))).toHaveLength(1);
    expect((await call("/v1/publish", { body: publishBody })).status).toBe(200);
  });
});

describe("idle connections", () => {
  interface Line {
    socket: Socket;
    isOpen: () => boolean;
    text: () => string;
  }

  async function open(port: number): Promise<Line> {
    let text = "";
    const socket = connect(port, "127.0.0.1").on("data", (data) => (text += data.toString()));
    socket.on("error", () => undefined);
    let isOpen = true;
    socket.on("close", () => (isOpen = false));
    onTestFinished(() => void socket.destroy());
    await once(socket, "connect");
    return { socket, isOpen: () => isOpen, text: () => text };
  }

  async function openMany(port: number, count: number): Promise<Line[]> {
    const lines: Line[] = [];
    for (let number = 0; number < count; number += 1) lines.push(await open(port));
    return lines;
  }

  const get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";

  it("of one address are bounded: the one that has been idle the longest is closed", async () => {
    const clock = new FakeClock();
    const { http } = await startHttp({ clock }, { idleConnectionsPerAddress: 3 });
    const first = await open(http.port);
    const others = await openMany(http.port, 2);
    first.socket.write(get);
    await expect.poll(first.text).toContain("200 OK");

    await clock.advance(5_000);
    const late = await openMany(http.port, 2);

    // The first had been idle for less time than they.
    await expect.poll(() => others.map(({ isOpen }) => isOpen())).toEqual([false, false]);
    expect([first, ...late].map(({ isOpen }) => isOpen())).toEqual([true, true, true]);
  });

  it("that were just opened are spared up to twice the limit: their requests may be on the way", async () => {
    const clock = new FakeClock();
    const { http } = await startHttp({ clock }, { idleConnectionsPerAddress: 2 });
    const early = await openMany(http.port, 4);

    await open(http.port);
    await expect.poll(() => early.map(({ isOpen }) => isOpen())).toEqual([false, true, true, true]);
    await clock.advance(5_000);
    const late = await open(http.port);

    await expect.poll(() => early.map(({ isOpen }) => isOpen())).toEqual([false, false, false, true]);
    expect(late.isOpen()).toBe(true);
  });

  it("are left by no request beyond the limit: its response tells the client to close", async () => {
    const { http } = await startHttp({}, { idleConnectionsPerAddress: 2 });
    const lines = await openMany(http.port, 3);

    for (const { socket } of lines) socket.write(get);

    await expect.poll(() => lines.filter(({ text }) => text().includes("Connection: close")).length).toBe(1);
    await expect.poll(() => lines.filter(({ isOpen }) => isOpen()).length).toBe(2);
  });

  it("are none of those that carry a request, or an upgrade", async () => {
    const clock = new FakeClock();
    const { http } = await startHttp({ clock }, { idleConnectionsPerAddress: 4 });
    http.server.on("upgrade", (_, socket) => {
      socket.on("end", () => socket.end());
      socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    });
    const asking = await openMany(http.port, 4);
    const upgrades = asking.splice(2);
    for (const { socket } of upgrades)
      socket.write(`${get.trim()}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    await expect.poll(() => upgrades.map(({ text }) => text().includes("101"))).toEqual([true, true]);
    const slow = `${head}Content-Length: ${body.length}\r\n\r\n`;
    for (const { socket } of asking) socket.write(slow);

    const late = await openMany(http.port, 4);
    await clock.advance(5_000);
    late.push(await open(http.port));

    await expect.poll(() => late.map(({ isOpen }) => isOpen())).toEqual([false, true, true, true, true]);
    for (const { socket } of asking) socket.write(body);
    await expect.poll(() => asking.map(({ text }) => text().includes("200 OK"))).toEqual([true, true]);
    expect(upgrades.map(({ isOpen }) => isOpen())).toEqual([true, true]);
  });

  it("of a trusted proxy are not bounded", async () => {
    const { http } = await startHttp({}, { idleConnectionsPerAddress: 1, trustedProxies: ["127.0.0.0/8"] });
    const lines = await openMany(http.port, 5);

    for (const { socket } of lines) socket.write(get);

    await expect.poll(() => lines.every(({ text }) => text().includes("200 OK"))).toBe(true);
  });
});
