import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import { createKeyedQueue } from "../runtime/keyed-queue.ts";
import type { LookStore, PlannedLook } from "./scheduled-check-store.ts";
import type { LoadedOrder, OrderStore, Save } from "./order-store.ts";
import type { Telling } from "./outbox.ts";

export interface Decision<A> {
  answer: A;
  /** What changes; nothing where left out. */
  save?: Save;
  /** Milliseconds until the order must be looked after in any case: a window ends then. */
  lookInMs?: number | undefined;
}

export interface Changes {
  /**
   * Reads an order, decides, saves and tells. Decides anew where somebody else saved meanwhile. Once it is saved the
   * answer is given even where telling failed: the look planned beforehand finishes that.
   */
  change<A>(orderId: string, eventId: string | undefined, decide: (loaded: LoadedOrder) => Decision<A>): Promise<A>;
}

/** Decisions on one order are taken in turn on a node, so only other nodes can come between. */
const mostAttempts = 32;
/** Milliseconds after which telling is taken to have failed. */
const tellWithinMs = 2_000;

export interface ChangesDeps {
  store: OrderStore;
  looks: LookStore;
  telling: Telling;
  /** Resolves when no node has subscriptions of an earlier order of this id. */
  endSubscriptions: (orderId: string) => Promise<void>;
  log: Logger;
}

export function createChanges({ store, looks, telling, endSubscriptions, log }: ChangesDeps): Changes {
  const inTurn = createKeyedQueue();

  async function keep(orderId: string, save: Save, lookInMs: number | undefined): Promise<boolean> {
    const look = await looks.plan({ kind: "order", orderId }, lookInMs ?? tellWithinMs);
    const outbox = await store.save(orderId, save);
    const isDone = outbox === undefined || (await telling.tell(orderId, outbox));
    if (isDone && (lookInMs === undefined || outbox === undefined)) await drop(look);
    return outbox !== undefined;
  }

  /** A look too many does no harm. */
  async function drop(look: PlannedLook): Promise<void> {
    await looks
      .drop([look])
      .catch((error: unknown) => log.debug({ err: error }, "removing a scheduled order check failed"));
  }

  return {
    change: (orderId, eventId, decide) =>
      inTurn(orderId, async () => {
        for (let attempt = 1; attempt <= mostAttempts; attempt++) {
          const loaded = await store.load(orderId, eventId);
          const { answer, save, lookInMs } = decide(loaded);
          if (save?.beginning !== undefined && loaded.hasRemains) await endSubscriptions(orderId);
          if (save === undefined || (await keep(orderId, save, lookInMs))) return answer;
        }
        throw new GatewayError("unavailable", "Too many concurrent writes to this order.", { retryAfterMs: 200 });
      }),
  };
}
