import { createServer, type IncomingMessage, request as forward, type ServerResponse } from "node:http";
import { connect as connectTo, type AddressInfo, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { eventually } from "../support/world.ts";
import { client, contractServer, cut } from "./support.ts";

interface Proxy {
  url: string;
  /** Paths asked for, upgrades by the name of their transport. */
  asked: string[];
}

interface ProxyRules {
  /** Answers in the server's place: true where it did. */
  answer?: (request: IncomingMessage, response: ServerResponse) => boolean;
  upgrade: "pass" | "swallow" | "refuse";
  /** Taken off each path. */
  prefix?: string;
}

/** Passes HTTP on to `target`, and does with upgrades what the rules say at that moment. */
async function proxyTo(target: string, rules: ProxyRules): Promise<Proxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const pathOf = ({ url = "" }: IncomingMessage): string => url.slice(rules.prefix?.length ?? 0);
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    if (rules.answer?.(request, response)) return;
    const { method, headers } = request;
    const passed = forward(new URL(pathOf(request), target), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    passed.on("error", () => response.destroy());
    request.pipe(passed);
  });
  server.on("upgrade", (request, socket: Socket) => {
    asked.push(`upgrade ${request.url ?? ""}`);
    socket.on("error", () => undefined);
    if (rules.upgrade === "refuse") return void socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    if (rules.upgrade === "swallow") return;
    const { hostname, port } = new URL(target);
    const onward = connectTo(Number(port), hostname, () => {
      const lines = request.rawHeaders.flatMap((name, index, all) => (index % 2 ? [] : [`${name}: ${all[index + 1]}`]));
      onward.write([`GET ${pathOf(request)} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  });
  server.on("connection", (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

describe("behind a proxy that swallows upgrades", () => {
  it("a client connects by polling, and by WebSocket once upgrades work", async () => {
    const rules: ProxyRules = { upgrade: "swallow" };
    const server = await contractServer();
    const { url } = await proxyTo(server.url, rules);
    const ada = client(url, { connectTimeoutMs: 2_000 });
    const transport = () => ada.socket.io.engine.transport.name;

    await ada.channel("chat:lobby").subscribe();
    expect(transport()).toBe("polling");

    rules.upgrade = "pass";
    cut(ada);
    await eventually(() => expect([ada.state, transport()]).toEqual(["connected", "websocket"]));
  });
});

describe("a client that is refused at the transport", () => {
  const problem = { code: "draining", message: "Going.", retryAfterMs: 300 };

  it.each([
    { status: 503, headers: {}, body: JSON.stringify(problem), code: "draining", leastMs: 300 },
    { status: 503, headers: { "retry-after": "1" }, body: "<html>", code: "unavailable", leastMs: 1_000 },
    { status: 429, headers: { "retry-after": "1" }, body: "", code: "rate_limited", leastMs: 1_000 },
  ])("with $status and $code waits for the requested delay, and retries until it is accepted", async (refusal) => {
    const server = await contractServer();
    const times: number[] = [];
    const answer = (_: IncomingMessage, response: ServerResponse): boolean => {
      if (times.length >= 2) return false;
      times.push(performance.now());
      response.writeHead(refusal.status, refusal.headers).end(refusal.body);
      return true;
    };
    const { url } = await proxyTo(server.url, { upgrade: "refuse", answer });
    const ada = client(url);
    const codes: unknown[] = [];
    ada.on("state", ({ error }) => error !== undefined && codes.push(error.code));

    await eventually(() => expect(ada.state).toBe("connected"));

    expect(codes).toEqual([refusal.code, refusal.code]);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(refusal.leastMs - 1);
  });

  it("reconnects if its connection is closed without an answer", async () => {
    let closings = 0;
    const closesFirst = ({ conn }: { conn: { close(discard: boolean): void } }): boolean => {
      if (++closings === 4) return false;
      conn.close(true);
      return true;
    };
    const server = await contractServer({ beforeHandshake: closesFirst });
    const ada = client(server.url);

    await eventually(() => expect(ada.state).toBe("connected"));

    expect(closings).toBe(4);
  });
});

describe("a gateway below a path", () => {
  it("is reached by its address", async () => {
    const server = await contractServer();
    const { url, asked } = await proxyTo(server.url, { upgrade: "pass", prefix: "/realtime" });
    const ada = client(`${url}/realtime/`);

    await ada.channel("chat:lobby").subscribe();

    expect(asked[0]).toMatch(/^upgrade \/realtime\/socket\.io\/\?/);
  });

  it("that does not exist closes the client with the reason", async () => {
    const server = await contractServer();
    const answer = (_: IncomingMessage, response: ServerResponse): boolean => {
      response.writeHead(404).end();
      return true;
    };
    const { url } = await proxyTo(server.url, { upgrade: "refuse", answer });
    const ada = client(`${url}/elsewhere`);
    const subscribed = ada.channel("chat:lobby").subscribe();

    await expect(subscribed).rejects.toMatchObject({ code: "not_found", message: /\/elsewhere\/socket\.io\// });
  });
});
