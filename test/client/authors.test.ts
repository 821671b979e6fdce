import { expect, it } from "vitest";
import type { Publication } from "../../src/client/client.ts";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { client, cut, eventsOf } from "./support.ts";

const file = { channels: { chat: { subscribe: "public", publish: "public", deliver: "event" } } };

async function connectAs(userId: string, { url, signIn }: Awaited<ReturnType<typeof startGateway>>) {
  return client(url, { token: (await signIn(userId)).token });
}

it("the gateway names the author of each publication, delivered as an event, live and recovered", async () => {
  const gateway = await startGateway({ file });
  const [ada, bob] = [await connectAs("ada", gateway), await connectAs("bob", gateway)];
  const received: Publication[] = [];
  const lobby = bob.channel("chat:lobby");
  lobby.on("publication", (publication) => received.push(publication));
  await lobby.subscribe();

  await ada.channel("chat:lobby").publish("chat message", { text: "one", from: { userId: "bob" } });
  await eventually(() => expect(received).toHaveLength(1));
  cut(bob);
  await ada.channel("chat:lobby").publish("chat message", { text: "two" });
  await eventually(() => expect(received).toHaveLength(2));
  await gateway.call("POST", "/v1/publish", { channel: "chat:lobby", event: "chat message", data: 3 });
  await eventually(() => expect(received).toHaveLength(3));

  const author = { userId: "ada", connectionId: ada.socket.id };
  expect(received.map(({ offset, event, from }) => [offset, event, from])).toEqual([
    [1, "chat message", author],
    [2, "chat message", author],
    [3, "chat message", undefined],
  ]);
});

it("its own publication does not come back without echo, also after a disconnect, and an ephemeral one has no offset", async () => {
  const gateway = await startGateway({ file });
  const [ada, bob] = [await connectAs("ada", gateway), await connectAs("bob", gateway)];
  const [adas, bobs] = [ada.channel("chat:lobby"), bob.channel("chat:lobby")];
  const [toAda, toBob] = [eventsOf(adas), eventsOf(bobs)];
  await Promise.all([adas.subscribe(), bobs.subscribe()]);

  await adas.publish("said", 1, { echo: false });
  await adas.publish("said", 2);
  expect(await adas.publish("typing", true, { ephemeral: true })).toEqual({ channel: "chat:lobby" });
  await eventually(() => expect(toBob).toEqual(["1", "2", "undefined"]));
  await eventually(() => expect(toAda.slice(0, 1)).toEqual(["2"]));
  expect([adas.position?.offset, adas.state]).toEqual([2, "subscribed"]);
});
