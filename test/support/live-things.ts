import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { connect, type Client } from "../../src/client/client.ts";
import type { Cluster } from "./cluster.ts";
import { eventually } from "./world.ts";

/** A board, orders and commands that change all the time, and clients that look at them. */
export interface LiveThings {
  /** Changes nothing more, and expects every client to see what is there, and every command to have had one effect at most. */
  expectAgreement(): Promise<void>;
  stop(): void;
}

const board = "race";
const orderIds = ["o-0", "o-1", "o-2"];
const statuses = ["confirmed", "preparing", "ready", "picked_up", "delivered"];
const stepMs = 40;

export interface LiveThingsOptions {
  /** One client for each. */
  urls: readonly string[];
  random: () => number;
}

export async function startLiveThings(cluster: Cluster, { urls, random }: LiveThingsOptions): Promise<LiveThings> {
  const node = cluster.node(0);
  for (const orderId of orderIds) {
    const { status } = await node.call("POST", "/v1/orders", { orderId, parties: { customer: "customer" } });
    expect([201, 409]).toContain(status);
  }
  const { token } = await node.signIn("customer");
  const lookers = urls.map((url) => look(connect(url, { token, backoff: { minDelayMs: 50, maxDelayMs: 500 } })));
  await Promise.all(lookers.map(({ loaded }) => loaded));
  const redis = cluster.redis();
  // Another channel for each round on this cluster: numbers begin anew.
  const channel = `lab:commanded-${randomUUID()}`;
  let count = 0;

  /** What Redis did not take is not asked for again: it is a command that nobody gave. */
  function step(): void {
    count += 1;
    for (const command of commandsOf({ number: count, channel }, random))
      redis.xadd(`${cluster.prefix}:commands`, "*", "command", JSON.stringify(command)).catch(() => undefined);
  }
  const timer = setInterval(step, stepMs);

  return {
    async expectAgreement() {
      clearInterval(timer);
      await eventually(async () => {
        const there = await whatIsThere(cluster);
        for (const looker of lookers) expect(looker.sees()).toEqual(there);
      }, 60_000);
      const { body } = await node.call("GET", `/v1/channels/${channel}/history?limit=1000`);
      const numbers = (body.publications as { data: number }[]).map(({ data }) => data);
      expect(numbers.length).toBeGreaterThan(0);
      expect(numbers).toEqual([...new Set(numbers)]);
    },
    stop() {
      clearInterval(timer);
      for (const { client } of lookers) client.close();
    },
  };
}

function commandsOf({ number, channel }: { number: number; channel: string }, random: () => number): object[] {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const member = `member-${Math.floor(random() * 20)}`;
  return [
    { type: "publish", channel, event: "lab", data: number },
    { type: "score.submit", board, member, score: number },
    { type: "order.signal", orderId: pick(orderIds), name: "location", data: number },
    ...(number % 25 === 0 ? orderIds.map((orderId) => nextOf(orderId, number / 25)) : []),
  ];
}

const nextOf = (orderId: string, number: number): object => ({
  type: "order.event",
  orderId,
  status: statuses[Math.min(number - 1, statuses.length - 1)],
});

interface Looker {
  client: Client;
  loaded: Promise<unknown>;
  sees(): object;
}

function look(client: Client): Looker {
  const live = client.leaderboard(board);
  const orders = orderIds.map((orderId) => client.order(orderId));
  return {
    client,
    loaded: Promise.all([live.loaded, ...orders.map(({ loaded }) => loaded)]),
    sees: () => ({
      scores: live.entries.map(({ member, score }) => [member, score]),
      orders: orders.map(({ order, timeline }) => [
        order?.status,
        timeline.map(({ status }) => status),
        order?.signals["location"]?.data,
      ]),
    }),
  };
}

/** The same from the backend's side. */
async function whatIsThere(cluster: Cluster): Promise<object> {
  const get = async (path: string) => (await cluster.node(0).call("GET", path)).body;
  const { entries } = await get(`/v1/leaderboards/${board}`);
  const orders = await Promise.all(orderIds.map((orderId) => get(`/v1/orders/${orderId}`)));
  return {
    scores: entries.map(({ member, score }: { member: string; score: number }) => [member, score]),
    orders: orders.map(({ order, timeline }) => [
      order.status,
      timeline.map(({ status }: { status: string }) => status),
      order.signals.location?.data,
    ]),
  };
}
