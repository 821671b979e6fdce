import { describe, expect, it } from "vitest";
import type { Client } from "../../src/client/client.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { timed } from "../support/promised.ts";
import { eventually } from "../support/world.ts";
import { client, cut, eventsOf, whole } from "./support.ts";

const unhindered = { capacity: 100_000, refillPerSecond: 100_000 };
const file = {
  limits: { messages: unhindered, handshakes: unhindered },
  channels: { chat: { subscribe: "public", publish: "public", history: { size: 50_000, ttlSeconds: 60 } } },
};
const channelNames = ["chat:a", "chat:b", "chat:c"];
const cuts = Number(process.env.CUTS ?? 150);

/** Publishes into all channels until `isDone`; resolves with how many went into each. */
async function publishUntil(isDone: () => boolean, call: TestGateway["call"], writer: Client): Promise<number[]> {
  const sent = channelNames.map(() => 0);
  for (let round = 0; !isDone(); round += 1) {
    const publications = channelNames.map((channel, index) => ({ channel, event: "said", data: (sent[index]! += 1) }));
    if (round % 2 === 0) await call("POST", "/v1/publish/batch", { publications });
    else await Promise.all(publications.map((one) => writer.channel(one.channel).publish("said", one.data)));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return sent;
}

describe("a client on a real gateway", () => {
  it.each([
    { transports: ["websocket"], seed: 11 },
    { transports: ["polling"], seed: 12 },
  ])(
    `reads everything once, in order, over ${cuts} random cuts ($transports)`,
    async ({ transports, seed }) => {
      const { url, call, signIn } = await startGateway({ file });
      const reader = client(url, { token: (await signIn("ada")).token, socket: { transports } });
      const writer = client(url, { token: (await signIn("bob")).token });
      const seen = new Map<string, unknown[]>(channelNames.map((name) => [name, []]));
      const resets: string[] = [];
      for (const channel of channelNames.map((name) => reader.channel(name))) {
        channel.on("publication", ({ data }) => seen.get(channel.name)?.push(data));
        channel.on("reset", () => resets.push(channel.name));
        await channel.subscribe();
      }
      let done = 0;
      reader.socket.on("disconnect", () => (done += 1));
      const random = whole(seed);
      const cutting = setInterval(() => random(4) === 0 && reader.socket.connected && cut(reader), 1);
      const sent = await publishUntil(() => done >= cuts, call, writer);
      clearInterval(cutting);

      for (const [index, name] of channelNames.entries()) {
        await eventually(() => expect(seen.get(name)).toHaveLength(sent[index]!));
        expect(seen.get(name)?.findIndex((data, offset) => data !== offset + 1)).toBe(-1);
      }
      expect(resets).toEqual([]);
    },
    120_000,
  );

  it("is closed with the reason where its address has a path that the gateway does not", async () => {
    const { url, signIn } = await startGateway({ file });
    const ada = client(`${url}/elsewhere`, { token: (await signIn("ada")).token });
    const subscribed = ada.channel("chat:a").subscribe();

    await expect(subscribed).rejects.toMatchObject({ code: "not_found", message: /\/elsewhere\/socket\.io\// });
  });

  it("receives the latest publications of a conflated channel, in order and without requesting others", async () => {
    const kinds = { place: { subscribe: "public", conflateMs: 20, history: { size: 5_000, ttlSeconds: 60 } } };
    const { url, call, signIn } = await startGateway({ file: { ...file, channels: { ...file.channels, ...kinds } } });
    const reader = client(url, { token: (await signIn("ada")).token });
    const bus = reader.channel("place:bus");
    const seen: unknown[] = [];
    const lines = eventsOf(bus);
    bus.on("publication", ({ data }) => seen.push(data));
    await bus.subscribe();

    for (let done = 0; done < 1_000; done += 20) {
      const publications = Array.from({ length: 20 }, (_, index) => ({
        channel: "place:bus",
        event: "moved",
        data: done + index + 1,
      }));
      await call("POST", "/v1/publish/batch", { publications });
    }

    await eventually(() => expect(seen.at(-1)).toBe(1_000));
    expect(seen).toEqual((seen as number[]).toSorted((a, b) => a - b));
    expect(seen.length).toBeLessThan(200);
    expect(lines.filter((line) => line.includes("recovered"))).toEqual([]);
    cut(reader);
    await call("POST", "/v1/publish", { channel: "place:bus", event: "moved", data: 1_001 });
    await eventually(() => expect(seen.at(-1)).toBe(1_001));
    expect(new Set(seen).size).toBe(seen.length);
  });

  it("is notified if the log no longer contains what it missed", async () => {
    const short = { chat: { subscribe: "public", publish: "public", history: { size: 2, ttlSeconds: 60 } } };
    const { url, call, signIn } = await startGateway({ file: { ...file, channels: short } });
    const { token } = await signIn("ada");
    let comesBack = Promise.resolve();
    const ada = client(url, { token: () => comesBack.then(() => token) });
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    const publish = (count: number) =>
      call("POST", "/v1/publish/batch", {
        publications: Array.from({ length: count }, () => ({ channel: "chat:lobby", event: "said", data: null })),
      });
    await publish(1);
    await eventually(() => expect(lines).toEqual(["1"]));

    const away = Promise.withResolvers<void>();
    comesBack = away.promise;
    cut(ada);
    await publish(500);
    away.resolve();

    await eventually(() => expect(lines).toEqual(["1", "reset 1 to 501"]));
  });

  it("outlives its token if its token function returns new ones", timed, async () => {
    const { url, call, signIn } = await startGateway({ file: { ...file, tokens: { tokenTtlSeconds: 6 } } });
    const { sessionId, token } = await signIn("ada");
    const given: string[] = [];
    const provider = async (): Promise<string> => {
      const path = `/v1/sessions/${encodeURIComponent(sessionId)}/token`;
      const fresh = given.length === 0 ? token : ((await call("POST", path)).body.token as string);
      given.push(fresh);
      return fresh;
    };
    const ada = client(url, { token: provider });
    const states: string[] = [];
    ada.on("state", ({ state }) => states.push(state));
    const lobby = ada.channel("chat:lobby");
    await lobby.subscribe();

    await eventually(() => expect(given.length).toBeGreaterThan(2));

    await lobby.publish("said", "still here");
    expect(states).toEqual(["connected"]);
  });

  it("lists its user's sessions and ends the others with a reason", async () => {
    const { url, signIn } = await startGateway({ file });
    const here = client(url, { token: (await signIn("ada")).token });
    const elsewhere = client(url, { token: (await signIn("ada")).token });
    await eventually(() => expect([here.state, elsewhere.state]).toEqual(["connected", "connected"]));
    expect(await here.sessions.list()).toHaveLength(2);

    expect(await here.sessions.revokeOthers()).toMatchObject({ revoked: 1, disconnected: 1 });

    await eventually(() => expect(elsewhere.state).toBe("closed"));
    expect((await here.sessions.list()).map(({ current }) => current)).toEqual([true]);
    await expect(elsewhere.channel("chat:lobby").subscribe()).rejects.toMatchObject({ code: "session_revoked" });
  });

  it("is refused with the code", async () => {
    const { url, signIn } = await startGateway();
    const ada = client(url, { token: (await signIn("ada")).token });

    await expect(ada.channel("user:bob").subscribe()).rejects.toMatchObject({ code: "forbidden" });
    await expect(ada.channel("nosuch:thing").subscribe()).rejects.toMatchObject({ code: "unknown_channel" });
    await expect(ada.channel("news:today").publish("said", 1)).rejects.toMatchObject({ code: "forbidden" });
    await expect(ada.channel("").subscribe()).rejects.toMatchObject({ code: "bad_request" });
  });

  it("receives publications to its user, also after a disconnect", async () => {
    const { url, call, signIn } = await startGateway();
    const ada = client(url, { token: (await signIn("ada")).token });
    const own = ada.channel("user:ada");
    const lines = eventsOf(own);
    await own.subscribe();
    const publish = () => call("POST", "/v1/publish", { channel: "user:ada", event: "hello", data: null });
    await publish();
    await eventually(() => expect(lines).toEqual(["1"]));

    cut(ada);
    await publish();

    await eventually(() => expect(lines.slice(1)).toEqual(["2 recovered", "recovered 1 up to 2"]));
  });

  it("that sent a stale recovery offset requests what the recovery left out", async () => {
    const { url, call, signIn, connect } = await startGateway({ file });
    const { token } = await signIn("ada");
    let comesBack = Promise.resolve();
    const ada = client(url, { token: () => comesBack.then(() => token) });
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    const other = await connect((await signIn("bob")).token);
    await other.emitWithAck("subscribe", { channel: "chat:lobby" });
    const publish = (data: number) => call("POST", "/v1/publish", { channel: "chat:lobby", event: "said", data });
    await publish(1);
    await eventually(() => expect(lines).toEqual(["1"]));

    const away = Promise.withResolvers<void>();
    comesBack = away.promise;
    cut(ada);
    await publish(2);
    await publish(3);
    const placeOf = (socket: object) => socket as { _lastOffset: string };
    await eventually(() => expect(other.events.filter(([name]) => name === "publication")).toHaveLength(3));
    placeOf(ada.socket)._lastOffset = placeOf(other)._lastOffset;
    away.resolve();

    await eventually(() => expect(lines.slice(1)).toEqual(["2 recovered", "3 recovered", "recovered 2 up to 3"]));
    expect(ada.socket.recovered).toBe(true);
  });

  it("subscribes to a hundred channels through a small bucket", async () => {
    const { url, signIn } = await startGateway({
      file: { limits: { messages: { capacity: 10, refillPerSecond: 60 } } },
    });
    const ada = client(url, { token: (await signIn("ada")).token });

    const states: string[] = [];
    ada.on("state", ({ state }) => states.push(state));
    const channels = Array.from({ length: 100 }, (_, index) => ada.channel(`chat:${index}`));
    await Promise.all(channels.map((channel) => channel.subscribe()));

    expect(states).toEqual(["connected"]);
  });
});
