import { expect, onTestFinished, test } from "vitest";
import type { TestGateway } from "../support/gateway.ts";
import { startGateway } from "../support/gateway.ts";
import type { Cluster } from "../support/cluster.ts";
import { startCluster } from "../support/cluster.ts";
import { OrderWatcher, type FinishedOrder } from "../support/order-watcher.ts";
import { seeded } from "../support/random.ts";
import { eventually } from "../support/world.ts";

const orderCount = Number(process.env["ORDERS"] ?? 200);
const seed = Number(process.env["SEED"] ?? 1);
const customerCount = 12;
const courierCount = 8;
/** Orders under way at the same time. */
const concurrency = 32;

const statuses = ["confirmed", "preparing", "ready", "picked_up", "delivered"];
const file = {
  channels: { order: { subscribe: "role:staff", history: { size: 500, ttlSeconds: 3_600 } } },
  // An event that another door still holds must not be skipped.
  orders: { reorderWindowMs: 120_000 },
  limits: {
    messages: { capacity: 100_000, refillPerSecond: 100_000 },
    handshakes: { capacity: 1_000, refillPerSecond: 1_000 },
    subscriptionsPerConnection: 50_000,
  },
};

interface StatusEvent {
  orderId: string;
  status: string;
  sequence: number;
  eventId: string;
  data: unknown;
}

type Send = (event: StatusEvent) => Promise<unknown>;

/** A node that is alive answers; with its key a call that was lost is repeated without a second effect. */
async function call(cluster: Cluster, random: () => number, method: string, path: string, body?: object): Promise<any> {
  for (;;) {
    const alive = cluster.nodes.filter((node) => node.isRunning());
    const node = alive[Math.floor(random() * alive.length)];
    const answer = await node?.call(method, path, body).catch(() => undefined);
    if (answer !== undefined && answer.status < 500) {
      if (answer.status >= 400) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
      return answer.body;
    }
  }
}

/** The four doors through which upstreams send what happened. */
function doorsOf(cluster: Cluster, inProcess: TestGateway, random: () => number): Send[] {
  const redis = cluster.redis();
  const stream = `${cluster.prefix}:commands`;
  return [
    ({ orderId, ...event }) => call(cluster, random, "POST", `/v1/orders/${orderId}/events`, event),
    (event) => redis.xadd(stream, "*", "command", JSON.stringify({ type: "order.event", ...event })),
    (event) => redis.publish("order:status", JSON.stringify({ id: `${event.orderId} ${event.eventId}`, ...event })),
    (event) => inProcess.gateway.executor.perform({ type: "order.event", ...event }, { door: "app" }),
  ];
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const keyed = items.map((item) => ({ item, at: random() }));
  return keyed.toSorted((a, b) => a.at - b.at).map(({ item }) => item);
}

/** The story of one order: events come shuffled and repeated over all doors, and couriers come and go in between. */
async function deliver(
  n: number,
  { cluster, inProcess, staff, outsider }: Company,
): Promise<Omit<FinishedOrder, "timeline">> {
  const random = seeded(seed * 1_000_003 + n);
  const doors = doorsOf(cluster, inProcess, random);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const courierAt = (): string => `courier-${Math.floor(random() * courierCount)}`;
  const orderId = `o-${n}`;

  const customer = `customer-${n % customerCount}`;
  const parties: { customer: string; courier?: string } =
    random() < 0.3 ? { customer, courier: courierAt() } : { customer };
  await call(cluster, random, "POST", "/v1/orders", { orderId, parties, data: { n } });
  for (const each of staff) await each.watch(orderId);

  let updates = 0;
  let assigned: string | null = parties.courier ?? null;
  for (let sent = 0; sent < statuses.length;) {
    const group = statuses.slice(sent, sent + 1 + Math.floor(random() * 3)).map((status, index) => {
      const sequence = sent + index + 1;
      return { orderId, status, sequence, eventId: `e-${sequence}`, data: { n, sequence } };
    });
    sent += group.length;
    const repeated = group.filter(() => random() < 0.3);
    await Promise.all(shuffled([...group, ...repeated], random).map((event) => pick(doors)(event)));
    await staff[0]?.until(orderId, (seen) => (seen.at(-1)?.sequence ?? 0) >= sent);
    if (random() < 0.1 && (await outsider.watch(orderId))) outsider.faults.push(`an outsider read ${orderId}`);
    if (sent === statuses.length || random() < 0.25) continue;

    const courier = random() < 0.15 ? null : courierAt();
    const update = { parties: { courier }, idempotencyKey: `${orderId} ${sent}` };
    if (random() < 0.5) await call(cluster, random, "PATCH", `/v1/orders/${orderId}`, update);
    else
      await cluster
        .redis()
        .xadd(
          `${cluster.prefix}:commands`,
          "*",
          "command",
          JSON.stringify({ type: "order.update", orderId, ...update }),
        );
    updates += courier === assigned ? 0 : 1;
    assigned = courier;
    await staff[0]?.until(orderId, (seen) => seen.filter((entry) => entry.update !== undefined).length >= updates);
  }
  return { orderId, parties };
}

interface Company {
  cluster: Cluster;
  /** A node in the process of the company's own backend. */
  inProcess: TestGateway;
  customers: OrderWatcher[];
  couriers: OrderWatcher[];
  staff: OrderWatcher[];
  outsider: OrderWatcher;
}

async function startCompany(): Promise<Company> {
  const cluster = await startCluster({ file });
  onTestFinished(() => cluster.stop());
  const inProcess = await startGateway({ prefix: cluster.prefix, env: cluster.store.env, file });
  const connect = async (userId: string, roles: string[] = []): Promise<OrderWatcher> => {
    const { token } = await cluster.node(0).signIn(userId, { roles });
    const watcher = new OrderWatcher(cluster.url, token, userId);
    await watcher.followList();
    return watcher;
  };
  const people = (count: number, kind: string): Promise<OrderWatcher[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => connect(`${kind}-${index}`)));
  return {
    cluster,
    inProcess,
    customers: await people(customerCount, "customer"),
    couriers: await people(courierCount, "courier"),
    staff: await Promise.all(["staff-0", "staff-1", "staff-2"].map((userId) => connect(userId, ["staff"]))),
    outsider: await connect("outsider"),
  };
}

test(
  `${orderCount} orders: everybody sees exactly what they are entitled to, while a node is killed`,
  async () => {
    const company = await startCompany();
    const { cluster, customers, couriers, staff, outsider } = company;
    const delivered: Omit<FinishedOrder, "timeline">[] = [];
    const waiting = Array.from({ length: orderCount }, (_, n) => n);
    let killed: Promise<unknown> | undefined;
    const work = async (): Promise<void> => {
      for (let n = waiting.shift(); n !== undefined; n = waiting.shift()) {
        delivered.push(await deliver(n, company));
        if (delivered.length >= orderCount * 0.4) killed ??= cluster.node(1).kill();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, work));
    await killed;

    const finished = await Promise.all(
      delivered.map(async (order): Promise<FinishedOrder> => {
        const { timeline } = await call(cluster, Math.random, "GET", `/v1/orders/${order.orderId}`);
        return { ...order, timeline };
      }),
    );
    const everybody = [...customers, ...couriers, ...staff, outsider];
    await eventually(() => {
      const compared = finished.flatMap((order) =>
        everybody.flatMap((each) => each.compare(order, staff.includes(each))),
      );
      expect([...everybody.flatMap(({ faults }) => faults), ...compared].slice(0, 5)).toEqual([]);
    }, 60_000);

    const reassigned = finished.filter(
      ({ timeline }) => timeline.filter(({ update }) => update !== undefined).length > 1,
    );
    expect(finished.every(({ timeline }) => timeline.filter(({ update }) => update === undefined).length === 6)).toBe(
      true,
    );
    expect(reassigned.length).toBeGreaterThan(orderCount / 10);
    expect(couriers.reduce((sum, { viewCount }) => sum + viewCount, 0)).toBeGreaterThan(orderCount / 2);
    expect(everybody.some(({ reconnects }) => reconnects > 0)).toBe(true);
    // Only who lost a right while away is not recovered.
    expect([...customers, ...staff, outsider].filter(({ restarts }) => restarts > 0)).toEqual([]);
    expect(outsider.refused.size).toBeGreaterThan(0);
  },
  60_000 + orderCount * 1_000,
);
