import { GatewayError } from "../protocol/errors.ts";
import type { Order } from "../protocol/order.ts";
import type { OrderUpdateBody } from "../protocol/orders.ts";
import type { OrderIndexStore } from "./order-index-store.ts";
import { toOrder } from "./order-record.ts";
import type { OrderStore } from "./order-store.ts";
import type { PartyStore } from "./party-store.ts";

/** The orders of one user, for everything kept of a user. */
export interface UserOrders {
  /** The newest first, at most `max`. */
  of(userId: string, max: number): Promise<Order[]>;
  /**
   * Deletes the orders of which the user is the customer. The user leaves all others, and timelines no longer name the user
   * as a party.
   */
  erase(userId: string): Promise<{ orders: number; parties: number }>;
}

export interface UserOrdersDeps {
  store: OrderStore;
  index: OrderIndexStore;
  parties: PartyStore;
  update: (orderId: string, body: OrderUpdateBody) => Promise<unknown>;
  remove: (orderId: string) => Promise<boolean>;
}

const pageSize = 100;

export function createUserOrders({ store, index, parties, update, remove }: UserOrdersDeps): UserOrders {
  async function* ordersOf(userId: string): AsyncGenerator<Order> {
    let cursor: string | undefined;
    do {
      const page = await index.list({ user: userId, limit: pageSize, cursor });
      for (const { orderId, createdAt } of page.orders) {
        const { order } = await store.load(orderId);
        if (order?.record.createdAt === createdAt && isParty(order.record, userId)) yield toOrder(order);
      }
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** False if the order has expired. In this order, so that a repeat after a crash finds the order again. */
  async function leave({ orderId, parties: before }: Order, userId: string): Promise<boolean> {
    await store.forgetParty(orderId, userId);
    const roles = Object.keys(before).filter((role) => before[role] === userId);
    const left = update(orderId, { parties: Object.fromEntries(roles.map((role) => [role, null])) });
    return left.then(() => true).catch(falseIfNotFound);
  }

  return {
    async of(userId, max) {
      const orders: Order[] = [];
      for await (const order of ordersOf(userId)) if (orders.push(order) === max) break;
      return orders;
    },

    async erase(userId) {
      const erased = { orders: 0, parties: 0 };
      const orderIds: string[] = [];
      for await (const order of ordersOf(userId)) {
        orderIds.push(order.orderId);
        if (order.parties["customer"] !== userId) erased.parties += (await leave(order, userId)) ? 1 : 0;
        else erased.orders += (await remove(order.orderId)) ? 1 : 0;
      }
      await parties.forget(userId, orderIds);
      return erased;
    },
  };
}

const isParty = ({ parties }: Pick<Order, "parties">, userId: string): boolean =>
  Object.values(parties).includes(userId);

function falseIfNotFound(error: unknown): false {
  if (error instanceof GatewayError && error.code === "not_found") return false;
  throw error;
}
