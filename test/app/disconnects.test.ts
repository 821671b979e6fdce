import { describe, expect, test } from "vitest";
import type { Gateway } from "../../src/index.ts";
import { openClient, type Client } from "../support/gateway.ts";
import { embed } from "./support.ts";

/** A stock client that would reconnect by itself, and what it is told from its first event to its disconnect. */
async function openUntilDisconnected({ sessions, url }: Gateway, options: object): Promise<[Client, Promise<string>]> {
  const { token } = await sessions.create({ userId: "ann" });
  const client = openClient(url, token ?? "", { reconnection: true, ...options });
  return [client, new Promise((resolve) => client.once("disconnect", resolve))];
}

const closing = ["closing", { code: "disconnected_by_backend", message: expect.any(String), reconnect: false }];

describe.each(["websocket", "polling"])("an app that disconnects a client over %s", (transport) => {
  test.each([true, false])("delivers what it sent before, and the client stays away (close: %s)", async (close) => {
    const gateway = await embed();
    gateway.io.on("connection", (socket) => {
      socket.on("leave", (done: (text: string) => void) => {
        done("answered");
        socket.emit("bye", 1);
        socket.disconnect(close);
      });
    });
    await gateway.listen(0, "127.0.0.1");
    const [client, disconnected] = await openUntilDisconnected(gateway, { transports: [transport] });
    await new Promise((resolve) => client.once("ready", resolve));

    const answered = client.emitWithAck("leave");

    expect(await disconnected).toBe("io server disconnect");
    expect(await answered).toBe("answered");
    expect(client.events.slice(1)).toEqual([["bye", 1], closing]);
    expect(client.active).toBe(false);
  });

  test("may do so in its connection listener", async () => {
    const gateway = await embed();
    gateway.io.on("connection", (socket) => {
      socket.emit("bye", 1);
      socket.disconnect();
    });
    await gateway.listen(0, "127.0.0.1");

    const [client, disconnected] = await openUntilDisconnected(gateway, { transports: [transport] });

    expect(await disconnected).toBe("io server disconnect");
    expect(client.events).toEqual([["bye", 1], closing]);
    expect(client.active).toBe(false);
  });
});
