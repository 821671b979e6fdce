import { describe, expect, it } from "vitest";
import type { Client, LiveOrder } from "../../src/client/client.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { type Story, tellStory, transitions } from "../support/order-stories.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/world.ts";
import { client, contractServer, cut, whole } from "./support.ts";

const unhindered = { capacity: 100_000, refillPerSecond: 100_000 };
const file = {
  limits: { messages: unhindered, handshakes: unhindered },
  // Such short logs that some cuts lose statuses for good.
  channels: { order: { history: { size: 3, ttlSeconds: 60 } }, orders: { history: { size: 20, ttlSeconds: 60 } } },
  orders: { transitions, reorderWindowMs: 60_000, signalEveryMs: 20 },
};
const parties = { customer: "ada", courier: "bob" };

const create = ({ call }: TestGateway, orderId: string) => call("POST", "/v1/orders", { orderId, parties });

/** Upstreams tell all stories at once, each shuffled and with repeats, with a courier's place now and then. */
async function tellAll({ call }: TestGateway, stories: Map<string, Story>, random: () => number): Promise<void> {
  const tellOne = async ([orderId, { arrivals }]: [string, Story]): Promise<void> => {
    for (const event of arrivals) {
      await call("POST", `/v1/orders/${orderId}/events`, event);
      if (random() < 0.2) await call("POST", `/v1/orders/${orderId}/signals`, { name: "place", data: { x: random() } });
    }
  };
  await Promise.all([...stories].map(tellOne));
}

/** The sequences that a live order showed and told; it may only ever grow. */
function watch(order: LiveOrder): { shown: number[]; told: number[] } {
  const seen = { shown: [] as number[], told: [] as number[] };
  order.on("change", (now) => {
    const sequences = now.timeline.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].toSorted((a, b) => a - b));
    expect(now.order).toMatchObject({ sequence: sequences.at(-1), status: now.timeline.at(-1)?.status });
    seen.shown.push(now.order.sequence);
  });
  order.on("status", ({ sequence }) => seen.told.push(sequence));
  return seen;
}

const isGrowing = (numbers: readonly number[]): boolean =>
  numbers.every((number, index) => index === 0 || number >= (numbers[index - 1] ?? 0));

function cutNowAndThen(reader: Client, random: (below: number) => number): () => void {
  const timer = setInterval(() => random(12) === 0 && reader.socket.connected && cut(reader), 5);
  return () => clearInterval(timer);
}

describe("a live order", () => {
  it("keeps its timeline complete and in order despite shuffled and repeated events and disconnects", async () => {
    const gateway = await startGateway({ file });
    const random = seeded(5);
    const stories = new Map(Array.from({ length: 20 }, (_, index) => [`o-${index}`, tellStory(random)]));
    await Promise.all([...stories.keys()].map((orderId) => create(gateway, orderId)));
    const ada = client(gateway.url, { token: (await gateway.signIn("ada")).token });
    const all = [...stories.keys()].map((orderId) => ada.order(orderId));
    const seen = all.map((order) => watch(order));
    const open = ada.orders();
    await Promise.all([...all, open].map(({ loaded }) => loaded));
    expect(open.orders).toHaveLength(20);

    const stopCutting = cutNowAndThen(ada, whole(6));
    await tellAll(gateway, stories, random);
    stopCutting();

    for (const [index, order] of all.entries()) {
      const { timeline } = stories.get(order.orderId)!;
      await eventually(() => expect(order.timeline.map(({ sequence }) => sequence)).toEqual(timeline));
      const { shown, told } = seen[index]!;
      expect(isGrowing(shown)).toBe(true);
      expect(told).toEqual([...new Set(told)].toSorted((a, b) => a - b));
      const stored = (await gateway.call("GET", `/v1/orders/${order.orderId}`)).body;
      await eventually(() => expect(order.signals.place?.data).toEqual(stored.order.signals.place?.data));
      expect(order.timeline).toEqual(stored.timeline);
      expect({ ...order.order, updatedAt: 0, signals: {} }).toEqual({ ...stored.order, updatedAt: 0, signals: {} });
    }
    const ended = all.filter(({ order }) => transitions[order!.status]?.length === 0).map(({ orderId }) => orderId);
    expect(ended.length).toBeGreaterThan(0);
    await eventually(() => expect(open.orders).toHaveLength(20 - ended.length));
    // A user's list is told of an order after the order's own channel.
    await eventually(() => {
      for (const { orderId, status, sequence } of open.orders)
        expect(ada.order(orderId).order).toMatchObject({ status, sequence });
    });
  });

  it("ignores a status that repeats, is older, or has no sequence", async () => {
    const known = { orderId: "o-1", status: "confirmed", sequence: 2, signals: {} };
    const server = await contractServer({ snapshot: () => ({ order: known, timeline: [{ ...known }] }) });
    const order = client(server.url).order("o-1");
    await order.loaded;
    const heard: number[] = [];
    order.on("status", ({ sequence }) => heard.push(sequence));
    const status = (name: string, sequence: unknown) =>
      server.publish("order:o-1", "order.status", { orderId: "o-1", status: name, sequence });

    status("confirmed", 2);
    status("created", 1);
    status("cancelled", undefined);
    status("cancelled", "9");
    server.sendLive("order:o-1", "order.status", { orderId: "o-1", status: "cancelled", sequence: 9 });
    server.publish("order:o-1", "order.note", { sequence: 9 });
    status("cooking", 3);

    await eventually(() => expect(heard).toEqual([3]));
    expect(order.order).toMatchObject({ status: "cooking", sequence: 3 });
    expect(order.timeline).toHaveLength(2);
  });

  it("has the latest value of each signal, and no signal in its timeline", async () => {
    const gateway = await startGateway({ file });
    await create(gateway, "o-1");
    const bob = client(gateway.url, { token: (await gateway.signIn("bob")).token });
    const order = bob.order("o-1");
    await order.loaded;
    const heard: unknown[] = [];
    order.on("signal", ({ name, data }) => heard.push([name, data]));

    for (let x = 1; x <= 30; x += 1)
      await gateway.call("POST", "/v1/orders/o-1/signals", { name: "place", data: { x } });

    await eventually(() => expect(order.signals.place?.data).toEqual({ x: 30 }));
    expect(heard.at(-1)).toEqual(["place", { x: 30 }]);
    expect(order.timeline.map(({ status }) => status)).toEqual(["created"]);
  });

  it("is refused to other users, and shown once they are parties", async () => {
    const gateway = await startGateway({ file });
    const ada = client(gateway.url, { token: (await gateway.signIn("ada")).token });

    await expect(ada.order("o-1").loaded).rejects.toMatchObject({ code: "forbidden" });
    await create(gateway, "o-1");

    const order = ada.order("o-1");
    await order.loaded;
    expect(order.order?.parties).toEqual(parties);
  });
});

describe("the open orders", () => {
  it("add new orders and drop ended ones, for each of the parties", async () => {
    const gateway = await startGateway({ file });
    const [ada, bob] = await Promise.all(
      ["ada", "bob"].map(async (name) => client(gateway.url, { token: (await gateway.signIn(name)).token })),
    );
    const lists = [ada!.orders(), bob!.orders()];
    await Promise.all(lists.map(({ loaded }) => loaded));
    const statuses = () => lists.map(({ orders }) => orders.map(({ orderId, status }) => `${orderId} ${status}`));

    await create(gateway, "o-1");
    await eventually(() => expect(statuses()).toEqual([["o-1 created"], ["o-1 created"]]));
    await gateway.call("POST", "/v1/orders/o-1/events", { status: "confirmed" });
    await eventually(() => expect(statuses()).toEqual([["o-1 confirmed"], ["o-1 confirmed"]]));
    await gateway.call("POST", "/v1/orders/o-1/events", { status: "cancelled" });

    await eventually(() => expect(statuses()).toEqual([[], []]));
    expect([ada!.state, bob!.state]).toEqual(["connected", "connected"]);
  });
});
