import { describe, expect, it } from "vitest";
import { eventually } from "../support/world.ts";
import type { ContractServerOptions } from "./contract-server.ts";
import { client, contractServer, cut, eventsOf } from "./support.ts";

describe.each([{ recovery: false }, { recovery: true }])("a cut client, $recovery for Socket.IO's recovery", (mode) => {
  it("receives what it missed once, in order, with the count", async () => {
    const server = await contractServer(mode);
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));

    cut(ada);
    server.publish("chat:lobby", "said", 2);
    server.publish("chat:lobby", "said", 3);

    await eventually(() => expect(lines).toEqual(["1", "2 recovered", "3 recovered", "recovered 2 up to 3"]));
    server.publish("chat:lobby", "said", 4);
    await eventually(() => expect(lines.at(-1)).toBe("4"));
    expect(ada.state).toBe("connected");
    expect(lobby.position).toEqual({ epoch: server.log.get("chat:lobby")?.epoch, offset: 4 });
    const subscribes = server.requests.filter(({ name }) => name === "subscribe");
    expect(subscribes).toHaveLength(mode.recovery ? 1 : 2);
  });

  it("subscribes again if the answer was lost with the connection", async () => {
    let answerMs = 10_000;
    const server = await contractServer({ ...mode, answerDelayMs: () => answerMs });
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    const subscribed = lobby.subscribe();
    await eventually(() => expect(server.requests).toHaveLength(1));

    answerMs = 0;
    cut(ada);
    server.publish("chat:lobby", "said", 1);

    expect((await subscribed).position.offset).toBe(1);
    server.publish("chat:lobby", "said", 2);
    await eventually(() => expect(lines).toEqual(["2"]));
  });

  it("does not subscribe to a channel that was unsubscribed while disconnected", async () => {
    const server = await contractServer(mode);
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();

    cut(ada);
    await lobby.unsubscribe();
    await eventually(() => expect(ada.state).toBe("connected"));
    await ada.sessions.list();
    server.publish("chat:lobby", "said", 1);
    await ada.sessions.list();

    expect(lines).toEqual([]);
    expect(server.requests.some(({ name }) => name === "unsubscribe")).toBe(mode.recovery);
  });
});

describe("a reader", () => {
  it("accepts offsets skipped by conflation, and treats others as missing", async () => {
    const server = await contractServer({ conflates: (channel) => channel === "place:bus" });
    const ada = client(server.url);
    const [bus, lobby] = [ada.channel("place:bus"), ada.channel("chat:lobby")];
    const [busLines, lobbyLines] = [eventsOf(bus), eventsOf(lobby)];
    await Promise.all([bus.subscribe(), lobby.subscribe()]);

    for (const channel of ["place:bus", "chat:lobby"]) {
      server.publish(channel, "moved", 1);
      server.lose(channel, "moved", 2);
      server.publish(channel, "moved", 3);
    }

    await eventually(() => expect(lobbyLines.slice(0, 3)).toEqual(["1", "2 recovered", "3 recovered"]));
    expect(busLines).toEqual(["1", "3"]);
    cut(ada);
    server.publish("place:bus", "moved", 4);
    await eventually(() => expect(busLines.slice(2)).toEqual(["4 recovered", "recovered 1 up to 4"]));
  });

  it("is notified that what it missed is lost, and where it continues", async () => {
    const server = await contractServer({ snapshot: (channel) => ({ of: channel }) });
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toHaveLength(2));

    cut(ada);
    server.reset("chat:lobby");
    server.publish("chat:lobby", "said", 1);
    server.publish("chat:lobby", "said", 2);

    const snapshot = 'snapshot {"of":"chat:lobby"}';
    await eventually(() => expect(lines).toEqual([snapshot, "1", "reset 1 to 2", snapshot]));
    server.publish("chat:lobby", "said", 3);
    await eventually(() => expect(lines.at(-1)).toBe("3"));
  });

  it("sees no gap although the node left one: the client requests the missing publications", async () => {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    server.lose("chat:lobby", "said", 2);
    server.lose("chat:lobby", "said", 3);
    server.publish("chat:lobby", "said", 4);

    const expected = ["1", "2 recovered", "3 recovered", "4 recovered", "recovered 3 up to 4"];
    await eventually(() => expect(lines).toEqual(expected));
  });

  /** A subscriber that has been sent a publication, and after a reset another one. */
  async function afterReset() {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    server.reset("chat:lobby");
    server.publish("chat:lobby", "said", 2);
    return { server, lines };
  }

  it("asks again if the epoch changes, and keeps what has arrived since", async () => {
    const { lines } = await afterReset();

    await eventually(() => expect(lines).toEqual(["1", "reset 1 to 0", "1"]));
  });

  it("keeps nothing before a gap in what has arrived of another epoch", async () => {
    const { server, lines } = await afterReset();
    server.lose("chat:lobby", "said", 3);
    server.publish("chat:lobby", "said", 4);

    await eventually(() => expect(lines).toEqual(["1", "reset 1 to 2", "3"]));
  });

  it("receives live publications that overtake the subscribe answer in order", async () => {
    const server = await contractServer({
      answerDelayMs(name) {
        if (name === "subscribe") for (const data of [1, 2]) server.publish("chat:lobby", "said", data);
        return 60;
      },
    });
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);

    expect((await lobby.subscribe()).position.offset).toBe(0);
    expect(lines).toEqual(["1", "2"]);
  });

  it("receives publications without a position at once, and keeps its position", async () => {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");
    const seen: unknown[] = [];
    lobby.on("publication", ({ data, offset, recovered }) => seen.push([data, offset, recovered]));
    await lobby.subscribe();
    server.publish("chat:lobby", "said", "kept");
    server.sendLive("chat:lobby", "said", "live only");
    server.publish("chat:lobby", "said", "kept too");

    const expected = [
      ["kept", 1, false],
      ["live only", undefined, false],
      ["kept too", 2, false],
    ];
    await eventually(() => expect(seen).toEqual(expected));
    expect(server.requests).toHaveLength(1);
  });

  it("continues from a stored position", async () => {
    const server = await contractServer();
    for (const data of [1, 2, 3]) server.publish("chat:lobby", "said", data);
    const epoch = server.log.get("chat:lobby")?.epoch ?? "";
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);

    await lobby.subscribe({ since: { epoch, offset: 1 } });

    expect(lines).toEqual(["2 recovered", "3 recovered", "recovered 2 up to 3"]);
  });

  it("receives nothing after it unsubscribed, also in the middle of a recovery", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    lobby.on("publication", ({ offset }) => void (offset === 2 && lobby.unsubscribe()));
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));
    cut(ada);
    for (const data of [2, 3, 4]) server.publish("chat:lobby", "said", data);

    await eventually(() => expect(server.requests.some(({ name }) => name === "unsubscribe")).toBe(true));
    expect(lines).toEqual(["1", "2 recovered"]);
    expect(lobby.state).toBe("unsubscribed");
  });
});

describe("a client that Socket.IO reports as recovered", () => {
  /** Has read one publication of a channel and stays away until `comeBack`. */
  async function reader(options: ContractServerOptions = {}) {
    const server = await contractServer({ recovery: true, ...options });
    let comesBack = Promise.resolve();
    const ada = client(server.url, { token: () => comesBack.then(() => "token-1") });
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    const shown: unknown[] = [];
    lobby.on("state", ({ state }) => shown.push([state, lobby.position?.offset]));
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));
    const away = Promise.withResolvers<void>();
    comesBack = away.promise;
    shown.length = 0;
    cut(ada);
    return { server, ada, lobby, lines, shown, comeBack: away.resolve };
  }

  it("but did not receive everything requests the rest, and is not subscribed before it has it", async () => {
    const { server, lines, shown, comeBack } = await reader();
    server.publish("chat:lobby", "said", 2);
    server.lose("chat:lobby", "said", 3);
    comeBack();

    await eventually(() => expect(lines.slice(1)).toEqual(["2 recovered", "3 recovered", "recovered 2 up to 3"]));
    expect(shown).toEqual([
      ["recovering", 1],
      ["subscribed", 3],
    ]);
    server.publish("chat:lobby", "said", 4);
    await eventually(() => expect(lines.at(-1)).toBe("4"));
  });

  it("but cannot receive the rest is notified", async () => {
    const { server, lines, comeBack } = await reader();
    server.reset("chat:lobby");
    server.lose("chat:lobby", "said", 1);
    server.lose("chat:lobby", "said", 2);
    comeBack();

    await eventually(() => expect(lines.slice(1)).toEqual(["reset 1 to 2"]));
  });

  it("by a node that does not report positions asks itself", async () => {
    const { server, lines, comeBack } = await reader({ tellsPositions: false });
    server.lose("chat:lobby", "said", 2);
    comeBack();

    await eventually(() => expect(lines.slice(1)).toEqual(["2 recovered", "recovered 1 up to 2"]));
  });

  it("subscribes to a channel that was unsubscribed and subscribed again while disconnected", async () => {
    const { server, lobby, lines, comeBack } = await reader();
    void lobby.unsubscribe();
    const subscribed = lobby.subscribe();
    server.publish("chat:lobby", "said", 2);
    comeBack();

    expect((await subscribed).position.offset).toBe(2);
    server.publish("chat:lobby", "said", 3);
    await eventually(() => expect(lines).toEqual(["1", "3"]));
  });
});
