import { expect, it } from "vitest";
import { once, stockClient } from "../support/edge.ts";
import { RawSocket } from "../support/hostile.ts";
import { startGateway, told, type Client } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { numbersOf, range, startAudience } from "./audience.ts";

const channel = "chat:lobby";

it("loses and reorders nothing while a client upgrades from polling, at full rate", { timeout: 120_000 }, async () => {
  const { call, connect, signIn } = await startGateway({ file: { channels: { chat: { subscribe: "public" } } } });
  let isDone = false;
  const publications = range(1, 10).map(() => ({ channel, event: "said", data: { text: "x".repeat(100) } }));
  const publishing = (async () => {
    while (!isDone) await call("POST", "/v1/publish/batch", { publications });
  })();

  const transports = [["polling", "websocket"], ["polling"], ["websocket"]];
  const clients: { client: Client; from: number }[] = [];
  for (const n of range(0, 8)) {
    const { token } = await signIn(`user-${n}`);
    const client = await connect(token, { transports: transports[n % 3] as ["polling", "websocket"] });
    // The upgrade is under way.
    const { offset } = (await client.emitWithAck("subscribe", { channel })) as { offset: number };
    clients.push({ client, from: offset + 1 });
  }
  const upgraded = () => clients.filter((_, n) => n % 3 === 0).map(({ client }) => client.io.engine.transport.name);
  await eventually(() => expect(upgraded()).toEqual(["websocket", "websocket", "websocket"]));
  await eventually(() => {
    for (const { client } of clients) expect(told(client, "publication").length).toBeGreaterThan(100);
  });
  isDone = true;
  await publishing;

  const { body } = await call("GET", `/v1/channels/${channel}/history`);
  for (const { client, from } of clients) {
    await eventually(() => expect(told(client, "publication").at(-1)).toMatchObject({ offset: body.offset }));
    expect(told(client, "publication").map(({ offset }) => offset)).toEqual(range(from, body.offset));
  }
});

it("goes on for the others where a transport closes in the same turn", async () => {
  const { edge, connections, publish } = await startAudience();
  const readers = [];
  for (const _ of range(1, 8)) readers.push(await new RawSocket(edge).entered());
  const polling = stockClient(edge.url, { transports: ["polling"] });
  await once(polling, "ready");

  publish([1, 2]);
  // Each in its own way: by the server, by the client's goodbye, by the network.
  connections()[1]?.end();
  readers[3]?.send("41");
  readers[5]?.tcp.destroy();
  readers[6]?.tcp.resetAndDestroy();
  polling.disconnect();
  publish([3]);
  await expect.poll(() => edge.sockets.connections.count).toBe(4);
  publish(range(4, 20));

  for (const n of [0, 2, 4, 7]) {
    const reader = readers[n] as RawSocket;
    await reader.until(() => numbersOf(reader.received).includes(20));
    expect(numbersOf(reader.received)).toEqual(range(1, 20));
  }
  expect(numbersOf((readers[1] as RawSocket).received)).toEqual([]);
});
