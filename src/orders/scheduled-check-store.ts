import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { createDueSet } from "../redis/due-set.ts";

/**
 * What must be looked after later, whoever planned it may be dead by then: an order whose parties are about to be told,
 * a window that ends, a signal that waits.
 *
 * A look is planned before the act that needs it and dropped when all is done, so a crash in between leaves it to
 * whichever node finds it due. Who claims it has it for `claimMs`; what is still there after that is due again.
 */
export interface LookStore {
  plan(look: Look, delayMs: number): Promise<PlannedLook>;
  drop(looks: readonly PlannedLook[]): Promise<void>;
  claim(most: number): Promise<Claimed>;
}

/** `order`: windows and outbox; `signal`: the signal of that name. */
export type Look = { kind: "order"; orderId: string } | { kind: "signal"; orderId: string; name: string };

export interface PlannedLook {
  /** Unlike any other: dropping one's own look leaves those that others planned meanwhile. */
  member: string;
  look: Look;
}

export interface Claimed {
  due: PlannedLook[];
  /** Until something is due, whoever planned it; undefined where nothing is planned. */
  nextInMs: number | undefined;
}

export interface LookStoreDeps {
  commands: RedisClient;
  keys: Keys;
  /** Told of each look that this store planned. */
  onPlanned: (dueInMs: number) => void;
}

/** Milliseconds a claimed look belongs to who claimed it. */
const claimMs = 5_000;

export function createLookStore({ commands, keys, onPlanned }: LookStoreDeps): LookStore {
  const dueSet = createDueSet(commands, { key: keys.dueOrders(), leaseMs: claimMs });

  return {
    async plan(look, delayMs) {
      const member = toMember(look);
      const dueInMs = Math.ceil(delayMs);
      await dueSet.plan([member], dueInMs);
      onPlanned(dueInMs);
      return { member, look };
    },

    drop: (looks) => dueSet.drop(looks.map(({ member }) => member)),

    async claim(most) {
      const { due, nextInMs } = await dueSet.claim(most);
      const foreign = due.filter((member) => toLook(member) === undefined);
      // What no node planned would be claimed again and again, in the place of what is due.
      if (foreign.length > 0) await dueSet.drop(foreign);
      return { due: due.flatMap(toPlanned), nextInMs };
    },
  };
}

const toMember = (look: Look): string =>
  JSON.stringify([look.orderId, look.kind === "signal" ? look.name : null, randomUUID()]);

function toPlanned(member: string): PlannedLook[] {
  const look = toLook(member);
  return look === undefined ? [] : [{ member, look }];
}

/** Undefined for what `toMember` has not written. */
function toLook(member: string): Look | undefined {
  const [orderId, name] = parseList(member);
  if (typeof orderId !== "string") return undefined;
  if (name === null) return { kind: "order", orderId };
  return typeof name === "string" ? { kind: "signal", orderId, name } : undefined;
}

/** Empty for anything but a list. */
function parseList(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
