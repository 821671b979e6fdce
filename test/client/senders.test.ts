import { describe, expect, it } from "vitest";
import type { Publication } from "../../src/client/client.ts";
import { eventually } from "../support/world.ts";
import { client, contractServer, cut, eventsOf } from "./support.ts";

const offsets = (publications: readonly Publication[]) => publications.map(({ offset }) => offset);

describe("a publication of a client", () => {
  it("carries its author, as written by the gateway, live, recovered and in the history", async () => {
    const server = await contractServer();
    const [ada, bob] = [client(server.url), client(server.url)];
    const received: Publication[] = [];
    const lobby = bob.channel("chat:lobby");
    lobby.on("publication", (publication) => received.push(publication));
    await lobby.subscribe();

    await ada.channel("chat:lobby").publish("said", { text: "one" });
    await eventually(() => expect(received).toHaveLength(1));
    cut(bob);
    await ada.channel("chat:lobby").publish("said", { text: "two", from: "somebody else" });
    await eventually(() => expect(received).toHaveLength(2));

    const from = { userId: "ada", connectionId: ada.socket.id, info: { name: "Ada" } };
    expect(received.map((publication) => [publication.from, publication.recovered])).toEqual([
      [from, false],
      [from, true],
    ]);
    expect((await lobby.history()).publications.map((publication) => publication.from)).toEqual([from, from]);
    server.publish("chat:lobby", "said", "by a backend");
    await eventually(() => expect(received[2]).not.toHaveProperty("from"));
  });

  it("without echo reaches others, and leaves no gap for its author", async () => {
    const server = await contractServer();
    const [ada, bob] = [client(server.url), client(server.url)];
    const [adas, bobs] = [ada.channel("chat:lobby"), bob.channel("chat:lobby")];
    const [toAda, toBob] = [eventsOf(adas), eventsOf(bobs)];
    await Promise.all([adas.subscribe(), bobs.subscribe()]);

    const { offset } = await adas.publish("said", 1, { echo: false });
    await adas.publish("said", 2);

    await eventually(() => expect(toBob).toEqual(["1", "2"]));
    await eventually(() => expect(toAda).toEqual(["2"]));
    expect([offset, adas.position?.offset, adas.state]).toEqual([1, 2, "subscribed"]);
    expect(server.requests.filter(({ name }) => name === "subscribe")).toHaveLength(2);
  });

  it("without echo is skipped when its author recovers", async () => {
    const server = await contractServer({ skips: (offset) => offset === 2 || offset === 4 });
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const events = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(events).toEqual(["1"]));

    cut(ada);
    for (const n of [2, 3, 4]) server.publish("chat:lobby", "said", n);

    await eventually(() => expect(events).toEqual(["1", "3 recovered", "recovered 1 up to 4"]));
    server.publish("chat:lobby", "said", 5);
    await eventually(() => expect(events.at(-1)).toBe("5"));
  });

  it("is ephemeral on request: without a position, and not recovered", async () => {
    const server = await contractServer();
    const [ada, bob] = [client(server.url), client(server.url)];
    const received: Publication[] = [];
    const lobby = bob.channel("chat:lobby");
    lobby.on("publication", (publication) => received.push(publication));
    await lobby.subscribe();

    const answer = await ada.channel("chat:lobby").publish("typing", true, { ephemeral: true });
    await ada.channel("chat:lobby").publish("said", 1);

    await eventually(() => expect(offsets(received)).toEqual([undefined, 1]));
    expect(answer).toEqual({ channel: "chat:lobby" });
    expect(received[0]).toMatchObject({ event: "typing", from: { userId: "ada" }, recovered: false });
    expect((await lobby.history()).publications).toHaveLength(1);
  });
});

describe("a channel that delivers events", () => {
  it("is read like any other, and listeners of the socket get each under its own name", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const received: Publication[] = [];
    const native: unknown[] = [];
    lobby.on("publication", (publication) => received.push(publication));
    (ada.socket as unknown as { on(name: string, listener: (data: unknown) => void): void }).on(
      "chat message",
      (data) => native.push(data),
    );
    await lobby.subscribe();

    server.publishNative("chat:lobby", "chat message", "one");
    server.publishNative("chat:lobby", "toString", "two");
    await eventually(() => expect(offsets(received)).toEqual([1, 2]));
    cut(ada);
    server.publishNative("chat:lobby", "chat message", "three");

    await eventually(() => expect(offsets(received)).toEqual([1, 2, 3]));
    expect(received.map(({ event, data }) => [event, data])).toEqual([
      ["chat message", "one"],
      ["toString", "two"],
      ["chat message", "three"],
    ]);
    expect(native).toEqual(["one"]);
  });
});

it("a warning of the gateway is an event of the client", async () => {
  const server = await contractServer();
  const ada = client(server.url);
  const warnings: unknown[] = [];
  ada.on("warning", (warning) => warnings.push(warning));
  await eventually(() => expect(ada.state).toBe("connected"));

  server.warn("chat message");

  await eventually(() =>
    expect(warnings).toEqual([{ code: "unknown_event", message: "Nothing handles it.", event: "chat message" }]),
  );
});
