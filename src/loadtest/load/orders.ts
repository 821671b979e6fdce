import { BackendApi } from "../api.ts";
import { ordersChannelOf, userOf } from "../cast.ts";
import type { Plan } from "../plan.ts";
import { below, seededFor } from "../random.ts";
import { toMicros } from "./numbered.ts";
import type { Item, Outcome, Work } from "./work.ts";

/** The way of an order by the gateway's default transitions. */
const road = ["created", "confirmed", "preparing", "ready", "picked_up", "delivered"] as const;

const mostLanes = 32;

/** What the house is asked of an order: its beginning, or an event. */
interface Step {
  path: string;
  body: object;
}

/** Orders on their way: each step of one is a publication for its customer. */
export function createOrders(plan: Plan): Work {
  const customers = plan.scenario.readers.count;
  const lanes = Math.min(mostLanes, customers);
  const steps = Array.from({ length: customers }, () => 0);
  const random = seededFor(plan.seed, "orders");
  const doors = Array.from({ length: lanes }, (_, lane) => new BackendApi(plan.addresses, plan.apiKey, lane));

  return {
    lanes,
    mostAtOnce: 1,
    next(dueAt) {
      const index = below(random, customers);
      const step = steps[index] ?? 0;
      steps[index] = step + 1;
      const userId = userOf(plan, index);
      const body = stepOf(userId, step, toMicros(dueAt));
      return { channel: ordersChannelOf(userId), number: step + 1, dueAt, lane: index % lanes, body };
    },
    send: (items) => Promise.all(items.map((item) => take(doors[item.lane] as BackendApi, item))),
    stop: () => undefined,
  };
}

function stepOf(userId: string, step: number, t: number): Step {
  const sequence = step % road.length;
  const orderId = `${userId}-${Math.floor(step / road.length)}`;
  if (sequence === 0) return { path: "/v1/orders", body: { orderId, parties: { customer: userId }, data: { t } } };
  const body = { status: road[sequence], sequence, data: { t } };
  return { path: `/v1/orders/${encodeURIComponent(orderId)}/events`, body };
}

async function take(door: BackendApi, { body: step }: Item): Promise<Outcome> {
  const { path, body } = step as Step;
  const answer = await door.post(path, body);
  return answer.ok ? "confirmed" : answer;
}

/** What a customer learns from `order.status`: its number by the order's own and the step, and when it was to be sent. */
export function readOrderStatus(data: unknown): { number?: number; sentAt?: number } {
  const { orderId, sequence, data: own } = (data ?? {}) as { orderId?: string; sequence?: number; data?: unknown };
  const order = Number(/-(\d+)$/.exec(orderId ?? "")?.[1]);
  if (!Number.isInteger(order) || sequence === undefined) return {};
  const { t } = (own ?? {}) as { t?: number };
  return { number: order * road.length + sequence + 1, ...(typeof t === "number" && { sentAt: t }) };
}
