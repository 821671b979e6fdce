import { GatewayError } from "../protocol/errors.ts";
import type { OrderIndexStore } from "./order-index-store.ts";
import type { OrderStore } from "./order-store.ts";
import { removedNotification, type OutboxDispatcher } from "./outbox.ts";
import type { PartyStore } from "./party-store.ts";
import type { OrderCheck, ScheduledCheckStore } from "./scheduled-check-store.ts";

/** Deletes orders: with all their data, subscriptions on all nodes, and entries in the parties' lists. */
export interface OrderRemoval {
  /** False if there is no such order. Throws `unavailable` if what it has to report cannot be delivered now. */
  remove(orderId: string): Promise<boolean>;
  /** Completes a removal that a node did not finish. */
  finish(removal: Removal): Promise<void>;
}

type Removal = OrderCheck & { kind: "removal" };

export interface OrderRemovalDeps {
  store: OrderStore;
  parties: PartyStore;
  index: OrderIndexStore;
  checks: ScheduledCheckStore;
  dispatcher: OutboxDispatcher;
  /** Ends all subscriptions to the order on all nodes. */
  endSubscriptions: (orderId: string) => Promise<void>;
}

const undelivered = (): GatewayError =>
  new GatewayError("unavailable", "Notifications about this order are not delivered yet.", { retryAfterMs: 1_000 });

/** Only concurrent writes need another attempt. */
const maxAttempts = 32;
/** Milliseconds after which another node completes the removal. */
const finishWithinMs = 2_000;

export function createOrderRemoval(deps: OrderRemovalDeps): OrderRemoval {
  const { store, parties, index, checks, dispatcher, endSubscriptions } = deps;

  async function finish({ orderId, createdAt, users }: Removal): Promise<void> {
    const current = await removeData(orderId, createdAt);
    // Another order with this id may have been created since; creating it has ended the subscriptions.
    if (!current.isReplaced) await endSubscriptions(orderId);
    const removed = removedNotification({ orderId, createdAt }, Number.MAX_SAFE_INTEGER);
    const all = new Set([...users, ...current.users]);
    await Promise.all([...[...all].map((user) => parties.notify(user, removed)), index.remove({ orderId, createdAt })]);
  }

  /** Returns the last parties. */
  async function removeData(orderId: string, createdAt: number): Promise<{ isReplaced: boolean; users: string[] }> {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const { order } = await store.load(orderId);
      if (order === undefined) return { isReplaced: false, users: [] };
      if (order.record.createdAt !== createdAt) return { isReplaced: true, users: [] };
      if (await store.remove(orderId, order.revision))
        return { isReplaced: false, users: Object.values(order.record.parties) };
    }
    throw new GatewayError("unavailable", "Too many concurrent writes to this order.", { retryAfterMs: 200 });
  }

  return {
    finish,
    async remove(orderId) {
      const { order } = await store.load(orderId);
      if (order === undefined) return false;
      if (!(await dispatcher.dispatch(orderId, await store.outbox(orderId)))) throw undelivered();
      const { createdAt, parties: users } = order.record;
      const removal: Removal = { kind: "removal", orderId, createdAt, users: Object.values(users) };
      const check = await checks.schedule(removal, finishWithinMs);
      await finish(removal);
      await checks.drop([check]).catch(() => undefined);
      return true;
    },
  };
}
