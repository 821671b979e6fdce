import { io } from "socket.io-client";
import { expect, onTestFinished, test } from "vitest";
import { Server } from "socket.io";
import { bindEngine } from "../../src/connections/socket-io.ts";
import { startEngine } from "../support/engine.ts";
import { eventually } from "../support/world.ts";

/** What an application of Socket.IO gets of a connection, by Socket.IO's own server on top of the engine. */
async function connect(transports: string[]) {
  const { engine, sockets, url } = await startEngine();
  const server = new Server();
  bindEngine(server, engine);
  const client = io(url, { transports });
  onTestFinished(() => void client.disconnect());
  await eventually(() => expect(client.connected).toBe(true));
  const [conn] = sockets;
  if (conn === undefined) throw new Error("no connection");
  return { server, client, conn };
}

test.each(["websocket", "polling"])("attachments of every binary type arrive over %s", async (transport) => {
  const { server, client } = await connect([transport]);
  const received: number[][] = [];
  client.onAny((_event, bytes: Uint8Array) => received.push([...bytes]));
  const bytes = new Uint8Array([9, 1, 2, 9]);

  server.emit("image", bytes.buffer);
  server.emit("image", bytes.subarray(1, 3));
  server.emit("image", new DataView(bytes.buffer, 2));
  server.emit("image", new Uint16Array([258]));

  await eventually(() =>
    expect(received).toEqual([
      [9, 1, 2, 9],
      [1, 2],
      [2, 9],
      [2, 1],
    ]),
  );
});

test.each(["websocket", "polling"])(
  "packets of a connection are shown as Engine.IO shows them, over %s",
  async (transport) => {
    const { server, client, conn } = await connect([transport]);
    const [received, sent]: [object[], object[]] = [[], []];
    conn.on("packet", (packet: object) => received.push(packet));
    conn.on("packetCreate", (packet: object) => sent.push(packet));

    client.emit("draw", Buffer.from("abc"));
    server.emit("hello");
    conn.due();

    await eventually(() => expect(received).toHaveLength(3));
    expect(received).toEqual([
      { type: "message", data: '51-["draw",{"_placeholder":true,"num":0}]' },
      { type: "message", data: Buffer.from("abc") },
      { type: "pong" },
    ]);
    expect(sent.slice(0, 2)).toMatchObject([{ type: "message", data: '2["hello"]' }, { type: "ping" }]);
  },
);
