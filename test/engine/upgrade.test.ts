import { expect, it } from "vitest";
import { once, startEdge, stockClient } from "../support/edge.ts";
import { startEngine, type TestEngine } from "../support/engine.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";
import { FakeClock } from "../support/fake-clock.ts";

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

async function startUpgrade(options: Parameters<typeof startEngine>[0] = {}) {
  const engine = await startEngine(options);
  const polling = await new RawPolling(engine).opened();
  const probe = new RawSocket(engine, `EIO=4&transport=websocket&sid=${polling.sid}`);
  await probe.until(() => probe.isOpen);
  const [socket] = engine.sockets as [TestEngine["sockets"][number]];
  return { engine, polling, probe, socket };
}

it("answers the probe, lets the poll go empty, and moves everything that waits, in order", async () => {
  const { polling, probe, socket } = await startUpgrade();
  const polled = polling.poll();

  probe.send("2probe");
  await probe.until(() => probe.received.includes("3probe"));
  await polled;
  for (const number of range(50)) socket.write(`${number}`);
  probe.send("5", "4mine");
  await probe.until(() => probe.received.includes("4mine"));

  expect(polling.received).toEqual(["6"]);
  expect(probe.received).toEqual(["3probe", ...range(50).map((number) => `4${number}`), "4mine"]);
  expect(socket.transport.name).toBe("websocket");
});

it("answers polls that come while the client has yet to stop", async () => {
  const { polling, probe } = await startUpgrade();

  probe.send("2probe");
  await probe.until(() => probe.received.includes("3probe"));
  await polling.poll();
  await polling.poll();

  expect(polling.received).toEqual(["6", "6"]);
});

it.each([
  ["says something else", async (probe: RawSocket) => probe.send("4hello")],
  ["ends", async (probe: RawSocket) => void probe.tcp.destroy()],
  ["sends more than a probe", async (probe: RawSocket) => probe.send(`2probe${"x".repeat(2_000)}`)],
])("leaves a client that %s with polling", async (_, act) => {
  const { polling, probe, socket, engine } = await startUpgrade();

  await act(probe);
  await probe.until(() => probe.closeCode !== undefined);
  await expect.poll(() => socket.upgrade).toBeUndefined();
  await polling.post("4still here");
  await polling.poll();

  expect(polling.received).toEqual(["4still here"]);
  expect(engine.closed).toEqual([]);
});

it("gives up after the time that a client has, and another attempt may follow", async () => {
  const clock = new FakeClock();
  const { engine, polling, probe } = await startUpgrade({ clock });
  probe.send("2probe");
  await probe.until(() => probe.received.includes("3probe"));

  await clock.advance(5_000);
  await probe.until(() => probe.closeCode !== undefined);
  const second = new RawSocket(engine, `EIO=4&transport=websocket&sid=${polling.sid}`);
  await second.until(() => second.isOpen);
  second.send("2probe");
  await second.until(() => second.received.includes("3probe"));

  expect(probe.closeCode).toBe(1005);
});

it("takes one attempt at a time, and none of a client that is on a WebSocket already", async () => {
  const { engine, polling, probe } = await startUpgrade();
  const query = `EIO=4&transport=websocket&sid=${polling.sid}`;

  const second = new RawSocket(engine, query);
  await second.until(() => second.closeCode !== undefined);
  probe.send("2probe", "5");
  await expect.poll(() => engine.sockets[0]?.transport.name).toBe("websocket");
  const third = new RawSocket(engine, query);
  await third.until(() => third.closeCode !== undefined);

  expect([second.closeCode, third.closeCode, probe.closeCode]).toEqual([1005, 1005, undefined]);
});

it("closes both transports with the connection", async () => {
  const { probe, socket, engine } = await startUpgrade();
  probe.send("2probe");
  await probe.until(() => probe.received.includes("3probe"));

  socket.close(true);

  await probe.until(() => probe.closeCode !== undefined);
  expect(engine.engine.clientsCount).toBe(0);
});

it("says goodbye on the WebSocket, if the connection was closed while its client upgraded", async () => {
  const { probe, socket, engine } = await startUpgrade({ closeTimeoutMs: 30_000 });
  probe.send("2probe");
  await probe.until(() => probe.received.includes("3probe"));

  socket.write("goodbye");
  socket.close();
  probe.send("5");
  await probe.until(() => probe.closeCode !== undefined);

  expect(probe.received).toEqual(["3probe", "4goodbye"]);
  expect(engine.closed).toEqual(["forced close"]);
});

it("loses nothing of a burst while many stock clients upgrade at once", async () => {
  const edge = await startEdge();
  const clients = range(20).map((number) =>
    stockClient(edge.url, {
      transports: ["polling", "websocket"],
      auth: { token: `user-${number}:session-${number}:token-${number}` },
    }),
  );
  const read = new Map(clients.map((client) => [client, [] as number[]]));
  for (const client of clients) client.on("count", (number: number) => read.get(client)?.push(number));
  await Promise.all(clients.map((client) => once(client, "ready")));

  for (const number of range(200)) {
    for (const connection of edge.sockets.connections.all()) connection.emit("count", number);
    if (number % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  for (const client of clients) {
    await expect.poll(() => client.io.engine.transport.name).toBe("websocket");
    await expect.poll(() => read.get(client)?.length).toBe(200);
    expect(read.get(client)).toEqual(range(200));
  }
});
