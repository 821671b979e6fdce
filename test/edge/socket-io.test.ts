import { Adapter } from "socket.io-adapter";
import { Server, type Socket } from "socket.io";
import { expect, it, onTestFinished } from "vitest";
import { EngineSocket } from "../../src/engine/engine-socket.ts";
import { bindEngine, engineSocketOf, privateIdOf, startNewSession } from "../../src/connections/socket-io.ts";
import { once, stockClient } from "../support/edge.ts";
import { startEngine } from "../support/engine.ts";

/** Knows every session. */
class KnowingAdapter extends Adapter {
  override persistSession(): void {}
  override restoreSession(pid: string): ReturnType<Adapter["restoreSession"]> {
    return Promise.resolve({ sid: "old", pid, rooms: [], data: {}, missedPackets: [] });
  }
}

it("Socket.IO has its parts: if this fails, a new version has moved them, and socket-io.ts must follow", async () => {
  const { engine, url } = await startEngine();
  const io = new Server({
    serveClient: false,
    adapter: KnowingAdapter,
    connectionStateRecovery: { skipMiddlewares: false },
  });
  bindEngine(io, engine);
  onTestFinished(() => io.close());
  const sockets: Socket[] = [];
  io.use((socket, next) => {
    sockets.push(socket);
    if (socket.recovered) startNewSession(socket);
    next();
  });

  const client = stockClient(url, { transports: ["websocket"], auth: { pid: "secret", offset: "1" } });
  await once(client, "connect");

  const [socket] = sockets as [Socket];
  expect(engineSocketOf(socket)).toBeInstanceOf(EngineSocket);
  expect(privateIdOf(socket)).toMatch(/^[\w-]{20}$/);
  expect(client.id).toBe(socket.id);
  expect(client.id).not.toBe("old");
  expect(client.recovered).toBe(false);
  expect(io.of("/").sockets.get(socket.id)).toBe(socket);
});

it("a stock Socket.IO server works on the engine: acknowledgements both ways, rooms, binary, namespaces", async () => {
  const { engine, url } = await startEngine();
  const io = new Server({ serveClient: false });
  bindEngine(io, engine);
  onTestFinished(() => io.close());
  io.of("/other").on("connection", (socket) => {
    void socket.join("room");
    socket.on("double", (data: Buffer, answer: (data: Buffer) => void) => answer(Buffer.concat([data, data])));
  });

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    const client = stockClient(`${url}/other`, { transports });
    await once(client, "connect");
    client.on("ask", (answer: (word: string) => void) => answer("yes"));

    expect(await client.emitWithAck("double", Buffer.from("ab"))).toEqual(Buffer.from("abab"));
    expect(await io.of("/other").to("room").timeout(5_000).emitWithAck("ask")).toEqual(["yes"]);
    client.disconnect();
    await expect.poll(() => engine.clientsCount).toBe(0);
  }
});
