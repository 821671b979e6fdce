import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import type { ScheduledCheckStore, ScheduledCheck } from "./scheduled-check-store.ts";
import type { LoadedOrder, OrderStore, Save } from "./order-store.ts";
import type { OrderTimeouts } from "./transitions.ts";
import type { OutboxDispatcher } from "./outbox.ts";

export interface OrderDecision<A> {
  answer: A;
  /** What to write; omitted if nothing changes. */
  save?: Save;
  /** Milliseconds until the order must be checked again, because a reorder window ends then. */
  checkInMs?: number | undefined;
}

export interface OrderWriter {
  /**
   * Loads an order, decides, saves and dispatches the outbox. Decides again if another node saved meanwhile. After the
   * save it resolves even if dispatching failed: the check scheduled beforehand retries that.
   */
  update<A>(
    orderId: string,
    eventId: string | undefined,
    decide: (loaded: LoadedOrder) => OrderDecision<A>,
  ): Promise<A>;
}

/** A node updates an order in a keyed queue, so only other nodes can conflict. */
const maxAttempts = 32;
/** Milliseconds after which the outbox is dispatched by a check, because the writer may have died. */
const dispatchWithinMs = 2_000;

export interface OrderWriterDeps {
  store: OrderStore;
  checks: ScheduledCheckStore;
  dispatcher: OutboxDispatcher;
  /** Resolves when no node has subscriptions of an earlier order with this id. */
  endSubscriptions: (orderId: string) => Promise<void>;
  timeouts: OrderTimeouts;
  log: Logger;
}

export function createOrderWriter({
  store,
  checks,
  dispatcher,
  endSubscriptions,
  timeouts,
  log,
}: OrderWriterDeps): OrderWriter {
  const queue = new KeyedQueue();

  async function persist(orderId: string, save: Save, checkInMs: number | undefined): Promise<boolean> {
    const check = await checks.schedule({ kind: "order", orderId }, checkInMs ?? dispatchWithinMs);
    await scheduleTimeout(orderId, save);
    const outbox = await store.save(orderId, save);
    const isDone = outbox === undefined || (await dispatcher.dispatch(orderId, outbox));
    if (isDone && (checkInMs === undefined || outbox === undefined)) await drop(check);
    return outbox !== undefined;
  }

  /** Before the save, so that a crash loses no timeout; a check that no longer applies does nothing. */
  async function scheduleTimeout(orderId: string, { createdAt, state, statusAt }: Save): Promise<void> {
    const { status, sequence } = state;
    const timeout = timeouts[status];
    if (timeout === undefined || statusAt === undefined) return;
    const check = { kind: "timeout", orderId, createdAt, status, sequence, statusAt } as const;
    await checks.schedule(check, timeout.afterSeconds * 1_000);
  }

  /** Failures are ignored: a redundant check is harmless. */
  async function drop(check: ScheduledCheck): Promise<void> {
    await checks
      .drop([check])
      .catch((error: unknown) => log.debug({ err: error }, "removing a scheduled order check failed"));
  }

  return {
    update: (orderId, eventId, decide) =>
      queue.run(orderId, async () => {
        for (let attempt = 1; attempt <= maxAttempts; attempt++) {
          const loaded = await store.load(orderId, eventId);
          const { answer, save, checkInMs } = decide(loaded);
          if (save?.content !== undefined && loaded.hasTombstone) await endSubscriptions(orderId);
          if (save === undefined || (await persist(orderId, save, checkInMs))) return answer;
        }
        throw new GatewayError("unavailable", "Too many concurrent writes to this order.", { retryAfterMs: 200 });
      }),
  };
}
