import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { OrderSignalBody } from "../protocol/orders.ts";
import type { ScheduledCheckStore } from "./scheduled-check-store.ts";
import type { Signalled, SignalStore } from "./signal-store.ts";
import type { OutboxDispatcher } from "./outbox.ts";

/** Signals: values that change all the time, of which only the latest counts, such as a courier's location. */
export interface Signals {
  /** Throws `not_found`, and `bad_request` if the order already has the maximum number of signal names. */
  signal(orderId: string, signal: OrderSignalBody, idempotencyTtlSeconds?: number): Promise<void>;
  /** Publishes a waiting signal if its interval has ended. */
  flush(orderId: string, name: string): Promise<void>;
}

export interface SignalsDeps {
  store: SignalStore;
  checks: ScheduledCheckStore;
  dispatcher: OutboxDispatcher;
}

export function createSignals({ store, checks, dispatcher }: SignalsDeps): Signals {
  async function finish(orderId: string, name: string, signalled: Signalled): Promise<void> {
    if (signalled.outcome === "waits") await checks.schedule({ kind: "signal", orderId, name }, signalled.delayMs);
    if (signalled.outcome !== "published") return;
    const { record, data, number } = signalled;
    await dispatcher.notifySignal(record, { name, data, number });
  }

  return {
    async signal(orderId, signal, idempotencyTtlSeconds) {
      const signalled = await store.put(orderId, signal, idempotencyTtlSeconds);
      if (signalled.outcome === "unknown") throw new GatewayError("not_found", "No such order.", { field: "orderId" });
      if (signalled.outcome === "full")
        throw wrong("name", "this order already has the maximum number of signal names");
      await finish(orderId, signal.name, signalled);
    },
    flush: async (orderId, name) => finish(orderId, name, await store.flush(orderId, name)),
  };
}
