import { BackendApi } from "../api.ts";
import { ordersChannelOf, userIdOf } from "../client-plan.ts";
import type { Plan } from "../plan.ts";
import { below, seededFor } from "../random.ts";
import { toMicros } from "./numbered.ts";
import type { WorkItem, SendOutcome, Workload } from "./workload.ts";

/** Statuses of an order by the gateway's default transitions. */
const statuses = ["created", "confirmed", "preparing", "ready", "picked_up", "delivered"] as const;

const maxQueues = 32;

/** A call that creates an order or moves it. */
interface Step {
  path: string;
  body: object;
}

/** Orders that move through their statuses; each step is a publication for the customer. */
export function createOrders(plan: Plan): Workload {
  const customers = plan.scenario.readers.count;
  const queues = Math.min(maxQueues, customers);
  const steps = Array.from({ length: customers }, () => 0);
  const random = seededFor(plan.seed, "orders");
  const apis = Array.from({ length: queues }, (_, queue) => new BackendApi(plan.addresses, plan.apiKey, queue));

  return {
    queues,
    maxBatchSize: 1,
    next(dueAt) {
      const index = below(random, customers);
      const step = steps[index] ?? 0;
      steps[index] = step + 1;
      const userId = userIdOf(plan, index);
      const body = stepOf(userId, step, toMicros(dueAt));
      return { channel: ordersChannelOf(userId), number: step + 1, dueAt, queue: index % queues, body };
    },
    send: (items) => Promise.all(items.map((item) => take(apis[item.queue] as BackendApi, item))),
    stop: () => undefined,
  };
}

function stepOf(userId: string, step: number, t: number): Step {
  const sequence = step % statuses.length;
  const orderId = `${userId}-${Math.floor(step / statuses.length)}`;
  if (sequence === 0) return { path: "/v1/orders", body: { orderId, parties: { customer: userId }, data: { t } } };
  const body = { status: statuses[sequence], sequence, data: { t } };
  return { path: `/v1/orders/${encodeURIComponent(orderId)}/events`, body };
}

async function take(api: BackendApi, { body: step }: WorkItem): Promise<SendOutcome> {
  const { path, body } = step as Step;
  const answer = await api.post(path, body);
  return answer.ok ? "confirmed" : answer;
}

/** Number (from the order's and the step's) and scheduled time of an `order.status`. */
export function readOrderStatus(data: unknown): { number?: number; sentAt?: number } {
  const { orderId, sequence, data: own } = (data ?? {}) as { orderId?: string; sequence?: number; data?: unknown };
  const order = Number(/-(\d+)$/.exec(orderId ?? "")?.[1]);
  if (!Number.isInteger(order) || sequence === undefined) return {};
  const { t } = (own ?? {}) as { t?: number };
  return { number: order * statuses.length + sequence + 1, ...(typeof t === "number" && { sentAt: t }) };
}
