import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "socket.io";
import { io, type Socket } from "socket.io-client";
import { expect, onTestFinished, test } from "vitest";
import { chat } from "../../examples/chat/chat.js";
import { eventually } from "../support/world.ts";
import { embed } from "./support.ts";

interface Chat {
  url: string;
  /** What a client adds to its options. */
  authOf(userId: string): Promise<object>;
}

function urlOf(server: HttpServer): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function onStock(): Promise<Chat> {
  const server = createServer();
  const own = new Server(server);
  chat(own);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => own.close());
  return { url: urlOf(server), authOf: async () => ({}) };
}

async function onTidegate(): Promise<Chat> {
  const gateway = await embed();
  chat(gateway.io);
  await gateway.listen(0, "127.0.0.1");
  return { url: gateway.url, authOf: async (userId) => ({ auth: await gateway.sessions.create({ userId }) }) };
}

test.each([
  ["stock Socket.IO", onStock],
  ["Tidegate", onTidegate],
])("the official chat on %s shows each message to everybody, in order", async (_name, start) => {
  const { url, authOf } = await start();
  const shown: string[][] = [[], []];
  const clients: Socket[] = [];
  for (const [index, userId] of ["ann", "bob"].entries()) {
    const socket = io(url, { forceNew: true, ...(await authOf(userId)) });
    onTestFinished(() => void socket.disconnect());
    socket.on("chat message", (msg: string) => shown[index]?.push(msg));
    await new Promise<void>((resolve) => socket.once("connect", resolve));
    clients.push(socket);
  }

  for (const text of ["one", "two", "three"]) clients[0]?.emit("chat message", text);

  await eventually(() =>
    expect(shown).toEqual([
      ["one", "two", "three"],
      ["one", "two", "three"],
    ]),
  );
});
