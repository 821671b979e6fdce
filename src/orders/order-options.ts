import { idempotencyDefaults } from "../channels/publication.ts";
import type { OrderStoreOptions } from "./order-store.ts";
import type { SignalStoreOptions } from "./signal-store.ts";
import type { OrderTimeouts, Transitions } from "./transitions.ts";

export interface OrdersOptions extends Partial<OrderStoreOptions>, Partial<SignalStoreOptions> {
  /** From each status, the statuses an order may move to; the first is the initial one. */
  transitions: Transitions;
  /** Moves orders that stay in a status for too long. @default {} */
  timeouts?: OrderTimeouts;
  /** Reorder window: max milliseconds that an early event waits for the ones before it. @default 5000 */
  reorderWindowMs?: number;
  /** Max early events held per order; more are refused as `rate_limited`. @default 32 */
  maxHeld?: number;
  /** Max open orders in a user's list. @default 100 */
  maxOpen?: number;
}

export const orderDefaults = {
  reorderWindowMs: 5_000,
  maxHeld: 32,
  maxOpen: 100,
  lifeSeconds: 7 * 86_400,
  endedLifeSeconds: 86_400,
  timelineSize: 200,
  timelineBytes: 262_144,
  seenIds: 1_000,
  signalEveryMs: 500,
  signalNames: 32,
  idempotencyTtlSeconds: idempotencyDefaults.ttlSeconds,
};
