import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { OrderSignalBody } from "../protocol/orders.ts";
import type { LookStore } from "./scheduled-check-store.ts";
import type { Signalled, SignalStore } from "./signal-store.ts";
import type { Telling } from "./outbox.ts";

/** The latest of what changes all the time: a courier's place, an estimated arrival. */
export interface Signals {
  /** Throws `not_found`, and `bad_request` where the order has as many names as it may. */
  signal(orderId: string, signal: OrderSignalBody): Promise<void>;
  /** Publishes a signal that waited for its interval to end. */
  flush(orderId: string, name: string): Promise<void>;
}

export interface SignalsDeps {
  store: SignalStore;
  looks: LookStore;
  telling: Telling;
}

export function createSignals({ store, looks, telling }: SignalsDeps): Signals {
  async function finish(orderId: string, name: string, signalled: Signalled): Promise<void> {
    if (signalled.outcome === "waits") await looks.plan({ kind: "signal", orderId, name }, signalled.delayMs);
    if (signalled.outcome !== "published") return;
    const { record, data, number } = signalled;
    await telling.tellSignal(record, { name, data, number });
  }

  return {
    async signal(orderId, signal) {
      const signalled = await store.put(orderId, signal);
      if (signalled.outcome === "unknown") throw new GatewayError("not_found", "No such order.", { field: "orderId" });
      if (signalled.outcome === "full")
        throw wrong("name", "this order already has the maximum number of signal names");
      await finish(orderId, signal.name, signalled);
    },
    flush: async (orderId, name) => finish(orderId, name, await store.flush(orderId, name)),
  };
}
