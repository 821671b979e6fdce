import { connect } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { startEngine } from "../support/engine.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";

const separator = "\u001e";
const plain = { "Content-Type": "text/plain;charset=UTF-8" };

it("carries several packets in one body, in order, both ways", async () => {
  const client = await new RawPolling(await startEngine()).opened();

  const posted = await client.post(["4one", "4two", "4ü€😀"].join(separator));
  await client.poll();

  expect([posted.status, await posted.text()]).toEqual([200, "ok"]);
  expect(client.received).toEqual(["4one", "4two", "4ü€😀"]);
});

it("carries binary messages as base64", async () => {
  const { sockets, ...engine } = await startEngine();
  const client = await new RawPolling(engine).opened();
  const read: unknown[] = [];
  sockets[0]?.on("data", (data) => read.push(data));

  await client.post("bAQIDBA==");
  await client.poll();

  expect(read).toEqual([Buffer.from([1, 2, 3, 4])]);
  expect(client.received).toEqual(["bAQIDBA=="]);
});

it("waits for something to say", async () => {
  const { sockets, ...engine } = await startEngine();
  const client = await new RawPolling(engine).opened();
  const polled = client.poll();

  sockets[0]?.write("late");
  await polled;

  expect(client.received).toEqual(["4late"]);
});

it("hands out at most sixteen packets at a time, and its goodbye by itself", async () => {
  const { sockets, ...engine } = await startEngine({ closeTimeoutMs: 30_000 });
  const client = await new RawPolling(engine).opened();
  const [socket] = sockets;
  for (let number = 1; number <= 40; number++) socket?.write(`${number}`);
  socket?.close();

  const sizes: number[] = [];
  while (client.received.at(-1) !== "1") {
    const { length } = client.received;
    await client.poll();
    sizes.push(client.received.length - length);
  }

  expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
  expect(client.received).toEqual([...Array.from({ length: 40 }, (_, index) => `4${index + 1}`), "1"]);
  expect(engine.closed).toEqual(["forced close"]);
});

it("ends when its client says so, and lets a poll that waits go", async () => {
  const engine = await startEngine();
  const client = await new RawPolling(engine).opened();
  const polled = client.poll();
  await expect.poll(() => engine.requests()).toBe(2);

  await client.post("1");

  expect((await polled).status).toBe(200);
  expect(engine.closed).toEqual(["transport close"]);
  expect(await (await client.poll()).json()).toEqual({ code: 1, message: "Session ID unknown" });
});

it("ends when two polls meet", async () => {
  const engine = await startEngine();
  const client = await new RawPolling(engine).opened();

  const statuses = await Promise.all([client.poll(), client.poll()].map(async (answer) => (await answer).status));

  expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 400]);
  expect(engine.closed).toEqual(["transport error"]);
});

it("ends when two bodies meet", async () => {
  const engine = await startEngine();
  const { url } = await new RawPolling(engine).opened();
  const first = connect(engine.port, "127.0.0.1");
  onTestFinished(() => void first.destroy());
  const head = "Host: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n";
  first.write(`POST ${url.slice(engine.url.length)} HTTP/1.1\r\n${head}\r\n4half`);
  await expect.poll(() => engine.requests()).toBe(2);

  const second = await fetch(url, { method: "POST", body: "4whole", headers: plain });

  expect(second.status).toBe(400);
  expect(engine.closed).toEqual(["transport error"]);
});

it.each([
  ["a poll", "GET", ""],
  ["a body", "POST", "Content-Type: text/plain\r\nContent-Length: 10\r\n"],
])("ends when %s is cut off", async (_, method, fields) => {
  const engine = await startEngine();
  const { url } = await new RawPolling(engine).opened();
  const client = connect(engine.port, "127.0.0.1");
  client.write(`${method} ${url.slice(engine.url.length)} HTTP/1.1\r\nHost: x\r\n${fields}\r\n4`);
  await expect.poll(() => engine.requests()).toBe(2);

  client.destroy();

  await expect.poll(() => engine.closed).toEqual(["transport error"]);
});

it("refuses a body that grows beyond what a stranger may send, and keeps the connection", async () => {
  const engine = await startEngine();
  const client = await new RawPolling(engine).opened();

  const large = await client.post(`4${"x".repeat(20_000)}`);
  const small = await client.post("4small");
  await client.poll();

  expect([large.status, small.status]).toEqual([413, 200]);
  expect(client.received).toEqual(["4small"]);
});

it("ignores the rest of a refused body while the next one is read", async () => {
  const engine = await startEngine();
  const { url } = await new RawPolling(engine).opened();
  const path = url.slice(engine.url.length);
  const [refused, next] = [connect(engine.port, "127.0.0.1"), connect(engine.port, "127.0.0.1")];
  onTestFinished(() => [refused, next].forEach((socket) => socket.destroy()));
  const answers = { refused: "", next: "" };
  refused.on("data", (data) => (answers.refused += data.toString()));
  next.on("data", (data) => (answers.next += data.toString()));
  refused.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n${"x".repeat(20_000)}`);
  await expect.poll(() => answers.refused).toContain("413");

  next.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n4ha`);
  await expect.poll(() => engine.requests()).toBe(3);
  refused.write(`${"x".repeat(20_000)}GET /next HTTP/1.1\r\nHost: x\r\n\r\n`);
  await expect.poll(() => answers.refused).toContain("404");
  next.write("lf!");

  await expect.poll(() => answers.next).toContain("200 OK");
  expect(engine.closed).toEqual([]);
});

it("takes larger ones of a client that is known", async () => {
  const { sockets, ...engine } = await startEngine();
  const client = await new RawPolling(engine).opened();
  sockets[0]?.admit();

  await client.post(`4${"x".repeat(100_000)}`);
  await client.poll();

  expect(client.received).toEqual([`4${"x".repeat(100_000)}`]);
});

it("refuses more packets than a client has to say, as what cannot be read", async () => {
  const { sockets, ...engine } = await startEngine();
  const client = await new RawPolling(engine).opened();
  const read: unknown[] = [];
  sockets[0]?.on("data", (data) => read.push(data));

  await client.post(Array.from({ length: 257 }, () => "4x").join(separator));

  expect(read).toEqual([""]);
});

it("takes messages of a WebSocket in any fragments", async () => {
  const client = await new RawSocket(await startEngine()).opened();

  client.sendFragment("4one ", false);
  client.sendFragment("two ", false);
  client.sendFragment("three", true);
  client.send("4next", Buffer.from([1, 2]));

  await client.until(() => client.received.length === 4);
  expect(client.received.slice(1)).toEqual(["4one two three", "4next", "\u0001\u0002"]);
});
