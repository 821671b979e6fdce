import { type ReadonlySignal, signal } from "@preact/signals";
import type { OpenOrder } from "../../../src/client/client.ts";
import { type Attempts, createAttempts } from "./attempt.ts";
import { callBackend } from "./backend.ts";
import type { Demo } from "./demo.ts";
import { createCall } from "./order-calls.ts";
import { goTo } from "./route.ts";

/** The user's open orders, and a form to create one. */
export interface OrderForm {
  readonly open: ReadonlySignal<readonly OpenOrder[]>;
  readonly isLoaded: ReadonlySignal<boolean>;
  readonly attempts: Attempts;
  /** Creates an order with this courier and shows it. */
  create(apiKey: string, courier: string): Promise<void>;
  stop(): void;
}

export function createOrderForm({ client, login }: Demo): OrderForm {
  const live = client.orders();
  const open = signal(live.orders);
  const isLoaded = signal(false);
  const attempts = createAttempts();

  live.on("change", (orders) => (open.value = orders));
  live.loaded.then(
    () => (isLoaded.value = true),
    () => undefined,
  );

  async function create(apiKey: string, courier: string): Promise<void> {
    const orderId = freshId();
    await callBackend(apiKey, createCall(orderId, { customer: login.name, courier }));
    goTo("orders", orderId);
  }

  return {
    open,
    isLoaded,
    attempts,
    create: (apiKey, courier) => attempts.run(() => create(apiKey, courier)),
    stop: () => live.close(),
  };
}

/** Short, to be readable. */
const freshId = (): string => `o-${Math.random().toString(36).slice(2, 8)}`;
