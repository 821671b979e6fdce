import { randomUUID } from "node:crypto";
import { GatewayError } from "../protocol/errors.ts";
import type { Order } from "../protocol/order.ts";
import type { OrderUpdateBody } from "../protocol/orders.ts";
import { decideUpdate } from "./decisions.ts";
import { toOrder } from "./order-record.ts";
import type { EndedAccess, LoadedOrder, OrderStore } from "./order-store.ts";
import type { OrderWriter } from "./order-writer.ts";
import type { ScheduledCheckStore } from "./scheduled-check-store.ts";
import type { TransitionTable } from "./transitions.ts";

/** Changes parties and data of orders. Users who are removed lose their access on all nodes before the update is saved. */
export interface OrderUpdates {
  /** Throws `not_found`, and `bad_request` for too many parties. */
  update(orderId: string, body: OrderUpdateBody, eventId: string | undefined): Promise<UpdatedOrder>;
}

/** How many subscriptions a command ended, on the nodes that acknowledged it. */
export interface EndedCount {
  ended: number;
  nodes: number;
  acknowledged: number;
}

export type UpdatedOrder = { order: Order } & EndedCount;

export interface OrderUpdatesDeps {
  store: OrderStore;
  checks: ScheduledCheckStore;
  writer: OrderWriter;
  transitions: TransitionTable;
  /** Ends these users' subscriptions to the order on all nodes; resolves when every live node has confirmed it. */
  endSubscriptionsOf: (orderId: string, users: readonly string[]) => Promise<EndedCount>;
  /** Of nodes that live. */
  nodeCount: () => number;
}

/** What no node has to do, all have done. */
const nobodysAccess = (nodes: number): EndedCount => ({ ended: 0, nodes, acknowledged: nodes });

/** Milliseconds after which an update that was not saved is undone. One that is only slow ends the access again. */
const restorePartiesAfterMs = 5_000;
/** Each other update of the same order may need another attempt. */
const maxAttempts = 32;

export function createOrderUpdates({
  store,
  checks,
  writer,
  transitions,
  endSubscriptionsOf,
  nodeCount,
}: OrderUpdatesDeps): OrderUpdates {
  /** Before the update is published, because it is no longer meant for the users that it removes. */
  async function endAccess(orderId: string, users: readonly string[]) {
    const marks = users.length === 0 ? new Map<string, string>() : await endRights(orderId, users);
    return { ...(await endSubscriptionsOf(orderId, users)), marks };
  }

  async function endRights(orderId: string, users: readonly string[]): Promise<EndedAccess> {
    const updateId = randomUUID();
    // Restores the parties of the order if this node dies before it saves the update.
    await checks.schedule({ kind: "parties", orderId, updateId }, restorePartiesAfterMs);
    return store.endAccess(orderId, users, updateId);
  }

  /** Ends nobody's access, so no node has to know of it. */
  async function updateData(orderId: string, body: OrderUpdateBody, eventId: string | undefined): Promise<Order> {
    const { order } = await writer.update(orderId, eventId, (loaded) =>
      decideUpdate(transitions, body, loaded, { eventId }),
    );
    return toOrder(order);
  }

  return {
    async update(orderId, body, eventId) {
      if (body.parties === undefined)
        return { order: await updateData(orderId, body, eventId), ...nobodysAccess(nodeCount()) };
      const endedByUs = new Map<string, string>();
      const decide = (loaded: LoadedOrder) => decideUpdate(transitions, body, loaded, { eventId, endedByUs });
      let ended = 0;
      let { mustEnd } = decide(await store.load(orderId, eventId)).answer;
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        const { marks, ...asked } = await endAccess(orderId, mustEnd);
        ended += asked.ended;
        for (const [userId, mark] of marks) endedByUs.set(userId, mark);
        const updated = await writer.update(orderId, eventId, decide);
        if (updated.mustEnd.length === 0) return { order: toOrder(updated.order), ...asked, ended };
        mustEnd = updated.mustEnd;
      }
      throw new GatewayError("unavailable", "Too many concurrent updates of this order.", { retryAfterMs: 200 });
    },
  };
}
