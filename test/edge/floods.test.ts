import { createRequire } from "node:module";
import { setImmediate } from "node:timers/promises";
import { expect, it } from "vitest";
import { Receiver } from "ws";
import { createReceiver } from "../../src/engine/websocket-receiver.ts";
import { connected, startEdge, stockClient } from "../support/edge.ts";
import { frame, RawPolling, RawSocket } from "../support/hostile.ts";

it("parses with the ws of its own, which bounds what an unfinished message may hold", () => {
  const { version } = createRequire(import.meta.url)("ws/package.json") as { version: string };
  const [major = 0, minor = 0] = version.split(".").map(Number);

  expect(createReceiver(1_024)).toBeInstanceOf(Receiver);
  expect(major * 1_000 + minor).toBeGreaterThanOrEqual(8_023);
});

it("cuts off who pings without reading, before memory grows", async () => {
  const edge = await startEdge();
  const bystander = await connected(stockClient(edge.url, { transports: ["websocket"] }));
  const flooder = await new RawSocket(edge).entered();
  flooder.pause();
  const pings = Buffer.concat(Array.from({ length: 5_000 }, () => frame(0x89, "x".repeat(125))));
  const before = process.memoryUsage().rss;

  for (let round = 0; round < 40 && !flooder.tcp.destroyed; round += 1) {
    await new Promise<void>((resolve) => void flooder.tcp.write(pings, () => resolve()));
  }

  await expect.poll(() => edge.sockets.connections.count).toBe(1);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1_048_576);
  expect(await bystander.emitWithAck("echo", { text: "x" })).toEqual({ ok: true, text: "x" });
});

it("answers who pings and reads", async () => {
  const client = await new RawSocket(await startEdge()).entered();

  for (let ping = 0; ping < 100; ping += 1) await client.pinged();
  client.send('421["echo",{"text":"x"}]');

  await client.until(() => client.received.at(-1) === '431[{"ok":true,"text":"x"}]');
  expect(client.isOpen).toBe(true);
});

it.each([
  ["answers to pings nobody sent", "3"],
  ["packets that mean nothing", "6"],
  ["upgrades of what is a WebSocket already", "5"],
  ["openings of what is open", "0"],
])("closes who floods with %s, by name, and lets a few pass", async (_, packet) => {
  const edge = await startEdge();
  const client = await new RawSocket(edge).entered();
  client.send(...Array.from({ length: 10 }, () => packet));
  client.send('421["echo",{"text":"x"}]');
  await client.until(() => client.received.at(-1) === '431[{"ok":true,"text":"x"}]');
  const seen = client.received.length;

  client.send(...Array.from({ length: 10_000 }, () => packet));

  expect(await client.outcome(seen)).toMatchObject({ closing: "protocol_error" });
  await client.until(() => !client.isOpen);
});

it("counts such packets over polling too", async () => {
  const client = await new RawPolling(await startEdge()).entered();

  await client.post(Array.from({ length: 200 }, () => "3").join("\u001e"));
  await client.poll();

  expect(client.received.some((packet) => packet.includes("protocol_error"))).toBe(true);
});

it("cuts a frame that comes in crumbs", async () => {
  const edge = await startEdge();
  const client = await new RawSocket(edge).entered();
  client.tcp.setNoDelay(true);
  const bytes = frame(0x81, `421["echo",{"text":"${"x".repeat(60_000)}"}]`);

  for (let at = 0; at < bytes.length && client.closeCode === undefined; at += 1) {
    client.tcp.write(bytes.subarray(at, at + 1));
    await setImmediate();
  }

  await client.until(() => client.closeCode !== undefined);
  expect(client.closeCode).toBe(1008);
});

it("does not block on the largest legal messages, a hundred at once", async () => {
  const edge = await startEdge();
  const clients = await Promise.all(Array.from({ length: 10 }, () => new RawSocket(edge).entered()));
  const message = `["mirror",{"data":[${'"xxxxxxxx",'.repeat(5_900)}"x"]}]`;
  let longest = 0;
  // Its own CPU time: what else the machine has to do does not count.
  let last = process.threadCpuUsage();
  const watch = setInterval(() => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1_000);
    last = process.threadCpuUsage();
  }, 1);

  for (const client of clients) for (let id = 1; id <= 10; id += 1) client.send(`42${id}${message}`);
  await Promise.all(clients.map((client) => client.until(() => client.received.length >= 13)));
  clearInterval(watch);

  expect(longest).toBeLessThan(500);
});

it("puts at most sixteen packets into one polling answer, and loses none", async () => {
  const edge = await startEdge();
  const client = await new RawPolling(edge).entered();
  const [connection] = edge.sockets.connections.all();
  for (let number = 1; number <= 100; number += 1) connection!.emit("count", number);

  const sizes: number[] = [];
  while (!client.received.includes('42["count",100]')) {
    const before = client.received.length;
    await client.poll();
    sizes.push(client.received.length - before);
  }

  expect(Math.max(...sizes)).toBeLessThanOrEqual(16);
  const numbers = client.received
    .filter((packet) => packet.startsWith('42["count"'))
    .map((packet) => packet.slice(11, -1));
  expect(numbers).toEqual(Array.from({ length: 100 }, (_, index) => `${index + 1}`));
});

it("keeps the order when a client with much to read upgrades", async () => {
  const edge = await startEdge({
    onConnect(connection) {
      for (let number = 1; number <= 200; number += 1) connection.emit("count", number);
    },
  });
  const client = stockClient(edge.url, { transports: ["polling", "websocket"] });
  const numbers: number[] = [];
  client.on("count", (number: number) => numbers.push(number));

  await expect.poll(() => numbers.length).toBe(200);

  expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  await expect.poll(() => client.io.engine.transport.name).toBe("websocket");
});

it("offers no compression and sets no cookie", async () => {
  const edge = await startEdge();

  const response = await fetch(`${edge.url}/socket.io/?EIO=4&transport=polling`, {
    headers: { "Accept-Encoding": "gzip" },
  });
  const client = await new RawSocket(edge, undefined, { "Sec-WebSocket-Extensions": "permessage-deflate" }).entered();

  expect(response.headers.get("set-cookie")).toBeNull();
  expect(response.headers.get("content-encoding")).toBeNull();
  expect(client.extensions).toBe("");
});
