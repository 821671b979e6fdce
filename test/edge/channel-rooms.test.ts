import type { Socket } from "socket.io";
import { expect, test } from "vitest";
import { ChannelRooms } from "../../src/connections/channel-rooms.ts";
import type { Connection } from "../../src/connections/connection.ts";

test("a socket whose connection is closed, and whose client has not answered that yet, joins no channel", async () => {
  const subscribed: string[] = [];
  const rooms = new ChannelRooms({
    isChannel: (room) => room.startsWith("chat:"),
    isSubscribed: () => false,
    subscribe: async (_connection, channel) => subscribed.push(channel),
    unsubscribe: async () => true,
    report: () => undefined,
  });
  let isOpen = true;
  const connection = {
    get isOpen() {
      return isOpen;
    },
  } as unknown as Connection;
  const socket = { join: () => undefined, leave: () => undefined } as unknown as Socket;
  rooms.prepare(socket, connection);

  await socket.join("chat:1");
  isOpen = false;
  await socket.join("chat:2");

  expect(subscribed).toEqual(["chat:1"]);
});
