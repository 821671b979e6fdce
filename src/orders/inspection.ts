import type { OrderWithTimeline } from "../protocol/order.ts";
import type { OrderStore } from "./order-store.ts";
import type { ScheduledCheckStore } from "./scheduled-check-store.ts";

/** An order as operators see it: also what is held, undelivered and due. */
export interface InspectedOrder extends OrderWithTimeline {
  held: { sequence: number; status: string; waitsFor: number; until: number }[];
  refused: { sequence: number; status: string }[];
  outbox: { number: number; kind: "status" | "update" | "refused" }[];
  checks: Awaited<ReturnType<ScheduledCheckStore["of"]>>;
}

/** Undefined for an unknown order. */
export type InspectOrder = (orderId: string) => Promise<InspectedOrder | undefined>;

export const createInspectOrder =
  (store: Pick<OrderStore, "read" | "load" | "outbox">, checks: Pick<ScheduledCheckStore, "of">): InspectOrder =>
  async (orderId) => {
    const [found, { order: stored }, outbox, due] = await Promise.all([
      store.read(orderId),
      store.load(orderId),
      store.outbox(orderId),
      checks.of(orderId),
    ]);
    if (found === undefined || stored === undefined) return undefined;
    const { held, resolved, refused } = stored.state;
    return {
      ...found.value,
      held: held.map(({ sequence, status, until }) => ({ sequence, status, waitsFor: resolved + 1, until })),
      refused: [...refused],
      outbox: outbox.map(({ number, item }) => ({ number, kind: item.kind })),
      checks: due,
    };
  };
