import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import { createDueSet } from "../redis/queues/due-set.ts";

/**
 * Scheduled checks of orders, which outlive the node that scheduled them: an outbox to dispatch, a reorder window that
 * ends, a signal that waits for its interval.
 *
 * A check is scheduled before the write that needs it and dropped when the work is done, so after a crash any node finds
 * it due. A claim lasts `claimMs`; a check that is not dropped by then is due again.
 */
export interface ScheduledCheckStore {
  schedule(check: OrderCheck, delayMs: number): Promise<ScheduledCheck>;
  drop(checks: readonly ScheduledCheck[]): Promise<void>;
  claim(most: number): Promise<ClaimedChecks>;
  /** Those of one order, the next first. Looks at a bounded part of a very long set. */
  of(orderId: string): Promise<{ kind: OrderCheck["kind"]; dueAt: number }[]>;
}

/** `order`: reorder windows and outbox; `signal`: the waiting signal of that name. */
export type OrderCheck =
  | { kind: "order"; orderId: string }
  | { kind: "signal"; orderId: string; name: string }
  /**
   * The order may not stay in the status that it got with this sequence at this time; at another time it got it if the save
   * had to be repeated. Earlier versions gave no time.
   */
  | { kind: "timeout"; orderId: string; createdAt: number; status: string; sequence: number; statusAt?: number }
  /** Users may have lost their access to an update that was not saved. Earlier versions gave no id. */
  | { kind: "parties"; orderId: string; updateId?: string }
  /** The order with this creation time is being deleted; these users were parties. */
  | { kind: "removal"; orderId: string; createdAt: number; users: string[] };

export interface ScheduledCheck {
  /** Unique, so that dropping this check leaves others of the same order. */
  member: string;
  check: OrderCheck;
}

export interface ClaimedChecks {
  due: ScheduledCheck[];
  /** Milliseconds until the next check is due; undefined if nothing is scheduled. */
  nextInMs: number | undefined;
}

export interface ScheduledCheckStoreDeps {
  commands: RedisClient;
  keys: Keys;
  /** Called with the delay of each check that this store schedules. */
  onScheduled: (dueInMs: number) => void;
}

/** Duration of a claim, in milliseconds. */
const claimMs = 5_000;

export function createScheduledCheckStore({
  commands,
  keys,
  onScheduled,
}: ScheduledCheckStoreDeps): ScheduledCheckStore {
  const dueSet = createDueSet(commands, { key: keys.dueOrders(), leaseMs: claimMs });

  return {
    async schedule(check, delayMs) {
      const member = toMember(check);
      const dueInMs = Math.ceil(delayMs);
      await dueSet.plan([member], dueInMs);
      onScheduled(dueInMs);
      return { member, check };
    },

    drop: (checks) => dueSet.drop(checks.map(({ member }) => member)),

    async claim(most) {
      const { due, nextInMs } = await dueSet.claim(most);
      const foreign = due.filter((member) => toCheck(member) === undefined);
      // Unparsable members would be claimed again and again.
      if (foreign.length > 0) await dueSet.drop(foreign);
      return { due: due.flatMap(toScheduled), nextInMs };
    },

    async of(orderId) {
      const found = new Map<string, { kind: OrderCheck["kind"]; dueAt: number }>();
      let cursor = "0";
      for (let rounds = 0; rounds < maxScans; rounds++) {
        const [next, flat] = await commands.zscan(keys.dueOrders(), cursor, "COUNT", scannedAtOnce);
        for (const [member, dueAt] of pairsOf(flat)) {
          const check = toCheck(member);
          if (check?.orderId === orderId) found.set(member, { kind: check.kind, dueAt: Math.round(Number(dueAt)) });
        }
        cursor = next;
        if (cursor === "0") break;
      }
      return [...found.values()].toSorted((a, b) => a.dueAt - b.dueAt);
    },
  };
}

/** Bounds of a search for the checks of one order. */
const maxScans = 20;
const scannedAtOnce = 1_000;

const toMember = (check: OrderCheck): string => JSON.stringify([check, randomUUID()]);

function toScheduled(member: string): ScheduledCheck[] {
  const check = toCheck(member);
  return check === undefined ? [] : [{ member, check }];
}

/** Undefined unless `toMember` wrote it. */
function toCheck(member: string): OrderCheck | undefined {
  try {
    const [check] = JSON.parse(member) as [OrderCheck];
    return kinds.includes(check.kind) && typeof check.orderId === "string" ? check : undefined;
  } catch {
    return undefined;
  }
}

const kinds: readonly string[] = ["order", "signal", "timeout", "parties", "removal"] satisfies OrderCheck["kind"][];
