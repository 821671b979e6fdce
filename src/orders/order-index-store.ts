import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/**
 * Indexes of orders, the newest first: one of all orders, and one per user, which `notify.lua` maintains. They are updated
 * from the outbox, so an entry may be out of date for a moment: readers load the orders and check them. Entries expire
 * with their orders, or soon after.
 */
export interface OrderIndexStore {
  /** Updates the index of all orders; a `number` below that of the last change is ignored. */
  put(order: IndexedOrder): Promise<void>;
  /** Removes the order from the index of all orders. */
  remove(order: { orderId: string; createdAt: number }): Promise<void>;
  /** At most `limit` orders after `cursor`; examines a bounded number, so a page may be short. */
  list(query: IndexQuery): Promise<{ orders: { orderId: string; createdAt: number }[]; cursor: string | undefined }>;
}

export interface IndexedOrder {
  orderId: string;
  createdAt: number;
  status: string;
  number: number;
  hasEnded: boolean;
}

export interface IndexQuery {
  user?: string | undefined;
  status?: string | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** The function that maintains an index. */
export const indexScript = new URL("./index.lua", import.meta.url);

/** Members examined for one page. */
const maxExamined = 1_000;

export const orderIndexKeys = (keys: Keys, user?: string): string[] =>
  (["members", "expiry", "statuses"] as const).map((part) => keys.orderIndex(part, user));

/** Sorts by creation. */
export const indexMember = ({ orderId, createdAt }: { orderId: string; createdAt: number }): string =>
  `${String(createdAt).padStart(15, "0")}:${orderId}`;

export function createOrderIndexStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { lifeSeconds, endedLifeSeconds }: { lifeSeconds: number; endedLifeSeconds: number },
): OrderIndexStore {
  const indexOrder = loadScript(commands, new URL("./index-order.lua", import.meta.url), [indexScript]);
  const listOrders = loadScript(commands, new URL("./list-orders.lua", import.meta.url), [], { isOrdered: false });

  return {
    async put({ status, number, hasEnded, ...order }) {
      const ttl = hasEnded ? endedLifeSeconds : lifeSeconds;
      await indexOrder.run(orderIndexKeys(keys), [indexMember(order), number, status, ttl]);
    },
    async remove(order) {
      await indexOrder.run(orderIndexKeys(keys), [indexMember(order), Number.MAX_SAFE_INTEGER, "", lifeSeconds]);
    },
    async list({ user, status = "", limit, cursor = "" }) {
      const scriptKeys = [keys.orderIndex("members", user), keys.orderIndex("statuses", user)];
      const reply = (await listOrders.run(scriptKeys, [cursor, status, limit, maxExamined])) as string[];
      const [last, ...members] = reply;
      return { orders: members.map(toIndexed), cursor: last === "" ? undefined : last };
    },
  };
}

function toIndexed(member: string): { orderId: string; createdAt: number } {
  const colon = member.indexOf(":");
  return { orderId: member.slice(colon + 1), createdAt: Number(member.slice(0, colon)) };
}
