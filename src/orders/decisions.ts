import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { Order, OrderCreateBody, OrderEventBody } from "../protocol/orders.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import { receive, release, type Arrival, type ArrivalRules, type ArrivedEvent, type Change } from "./event-ordering.ts";
import type { Decision } from "./order-writer.ts";
import type { TransitionTable } from "./transitions.ts";
import { toOpenOrder, toOrder, type OrderRecord, type OutboxItem, type StoredOrder } from "./order-record.ts";
import type { Save } from "./order-store.ts";

/** What is to be saved of an order, from what was read and what came: no clock, no store. */

/** Begins an order, or answers as the first time. Throws `conflict` where it exists with other content. */
export function decideCreate(
  moves: TransitionTable,
  { orderId, parties, status = moves.initial, data = null }: OrderCreateBody,
  { now, order }: { now: number; order: StoredOrder | undefined },
): Decision<Order> {
  if (!moves.isKnown(status)) throw wrong("status", "is not a configured status");
  const content = fingerprint({ parties, status, data });
  if (order !== undefined) {
    if (order.content !== content) throw new GatewayError("conflict", undefined, { field: "orderId" });
    return { answer: toOrder(order) };
  }
  const record = { orderId, parties, data, createdAt: now };
  const state = { status, sequence: 0, judged: 0, held: [], refused: [] };
  const entry = { status, previousStatus: null, sequence: 0, occurredAt: now, data };
  const change = { state, applied: [{ entry, eventId: undefined }], refused: [] };
  const begun = { record, content, state, revision: "", updatedAt: now, signals: {} };
  return {
    answer: toOrder(begun),
    save: { ...toSave(moves, begun, change, now), expected: undefined, beginning: { record, content } },
  };
}

export interface Judged {
  outcome: Arrival["outcome"];
  /** As it stands afterwards. */
  order: StoredOrder;
  /** Status before. */
  from: string;
}

/** Judges an event. Throws `not_found` where there is no such order. */
export function decideEvent(
  rules: ArrivalRules,
  { status, sequence, eventId, occurredAt, data = null }: OrderEventBody,
  { now, isSeen, order }: { now: number; isSeen: boolean; order: StoredOrder | undefined },
): Decision<Judged> {
  if (order === undefined) throw new GatewayError("not_found", "No such order.", { field: "orderId" });
  const event: ArrivedEvent = { status, sequence, eventId, occurredAt, data };
  const { outcome, change } = receive(rules, order.state, event, { now, isSeen });
  const from = order.state.status;
  if (change === undefined) return { answer: { outcome, order, from } };
  return {
    answer: { outcome, order: changed(order, change, now), from },
    save: toSave(rules.moves, order, change, now),
    lookInMs: outcome === "held" || outcome === "replaced" ? rules.windowMs : undefined,
  };
}

/** Lets early events go whose window has ended. */
export function decideRelease(
  moves: TransitionTable,
  { now, order }: { now: number; order: StoredOrder | undefined },
): Decision<undefined> {
  const change = order === undefined ? undefined : release(moves, order.state, now);
  if (order === undefined || change === undefined) return { answer: undefined };
  return { answer: undefined, save: toSave(moves, order, change, now) };
}

function toSave(moves: TransitionTable, order: StoredOrder, change: Change, now: number): Save {
  const { state, updatedAt } = changed(order, change, now);
  return {
    expected: order.revision,
    state,
    hasEnded: moves.isFinal(state.status),
    updatedAt,
    applied: change.applied,
    outbox: toOutbox(moves, order.record, change, updatedAt),
  };
}

function toOutbox(
  moves: TransitionTable,
  record: OrderRecord,
  { applied, refused }: Change,
  updatedAt: number,
): OutboxItem[] {
  const { orderId, createdAt } = record;
  return [
    ...applied.map(({ entry }): OutboxItem => ({
      kind: "status",
      order: toOpenOrder(record, entry, updatedAt),
      hasEnded: moves.isFinal(entry.status),
      entry,
    })),
    ...refused.map(({ event, from }): OutboxItem => ({ kind: "refused", order: { orderId, createdAt }, event, from })),
  ];
}

const changed = (order: StoredOrder, { state, applied }: Change, now: number): StoredOrder => ({
  ...order,
  state,
  updatedAt: applied.length > 0 ? now : order.updatedAt,
});
