import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import { canonicalJson } from "../protocol/gate.ts";
import { maxParties } from "../protocol/orders.ts";
import type { Order } from "../protocol/order.ts";
import type { OrderCreateBody, OrderEventBody, OrderUpdateBody } from "../protocol/orders.ts";
import type { OrderCheck } from "./scheduled-check-store.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import {
  receive,
  releaseExpired,
  type ReceiveResult,
  type OrderingRules,
  type IncomingEvent,
  type StateChange,
} from "./event-ordering.ts";
import type { OrderDecision } from "./order-writer.ts";
import type { TransitionTable } from "./transitions.ts";
import { toOpenOrder, toOrder, type OrderRecord, type OutboxItem, type StoredOrder } from "./order-record.ts";
import type { EndedAccess, LoadedOrder, Save } from "./order-store.ts";

/** Pure decisions: from a loaded order and a request, the response and what to save. */

/** Creates an order, or answers as the first time. Throws `conflict` if it exists with different content. */
export function decideCreate(
  transitions: TransitionTable,
  { orderId, parties, status = transitions.initial, data = null }: OrderCreateBody,
  { now, order }: { now: number; order: StoredOrder | undefined },
): OrderDecision<Order> {
  if (!transitions.isKnown(status)) throw wrong("status", "is not a configured status");
  const content = fingerprint({ parties, status, data });
  if (order !== undefined) {
    if (order.content !== content) throw new GatewayError("conflict", undefined, { field: "orderId" });
    return { answer: toOrder(order) };
  }
  const record = { orderId, parties, data, createdAt: now };
  const state = { status, sequence: 0, resolved: 0, held: [], refused: [] };
  const entry = { status, previousStatus: null, sequence: 0, occurredAt: now, data };
  const change = { state, applied: [{ entry, eventId: undefined }], refused: [] };
  const created = { record, content, state, revision: "", updatedAt: now, signals: {} };
  return {
    answer: toOrder(created),
    save: {
      ...toSave(transitions, created, change, now),
      expected: undefined,
      record,
      content,
      readers: usersOf(record),
    },
  };
}

export interface UpdateDecision {
  /** After the update. */
  order: StoredOrder;
  /** Users whom the update removes, and whose right the caller has to end on every node first, then decide again. */
  mustEnd: string[];
}

/**
 * Updates parties and data. Nothing is saved before the right of each user that it removes was ended by the caller
 * (`endedByUs`), and not given back since (`ended`). Throws `not_found`, and `bad_request` if there are too many
 * parties.
 */
export function decideUpdate(
  transitions: TransitionTable,
  { parties, data }: OrderUpdateBody,
  { now, isSeen, ended, order }: Omit<LoadedOrder, "hasTombstone">,
  { eventId, endedByUs = new Map() }: { eventId?: string | undefined; endedByUs?: EndedAccess } = {},
): OrderDecision<UpdateDecision> {
  if (order === undefined) throw new GatewayError("not_found", "No such order.", { field: "orderId" });
  const record = { ...order.record, parties: merged(order.record.parties, parties), data: data ?? order.record.data };
  if (data === null) record.data = null;
  if (isSeen || canonicalJson(record) === canonicalJson(order.record)) return { answer: { order, mustEnd: [] } };
  const { status, sequence } = order.state;
  const update = { ...(parties && { parties }), ...(data !== undefined && { data }) };
  const entry = { status, previousStatus: status, sequence, occurredAt: now, data: null, update };
  const updated = { ...order, record, updatedAt: now };
  const removed = usersOf(order.record).filter((userId) => !usersOf(record).includes(userId));
  const marks = new Map(removed.map((userId) => [userId, endedByUs.get(userId) ?? ""]));
  const answer = { order: updated, mustEnd: removed.filter((userId) => ended.get(userId) !== marks.get(userId)) };
  if (answer.mustEnd.length > 0) return { answer };
  const hasOtherParties = canonicalJson(record.parties) !== canonicalJson(order.record.parties);
  const hasEnded = transitions.isFinal(status);
  const openOrder = toOpenOrder(record, order.state, now);
  return {
    answer,
    save: {
      createdAt: record.createdAt,
      expected: order.revision,
      record,
      ...(hasOtherParties && { readers: usersOf(record) }),
      removed: marks,
      state: order.state,
      hasEnded,
      updatedAt: now,
      applied: [{ entry, eventId }],
      outbox: [{ kind: "update", order: openOrder, hasEnded, entry, removed }],
    },
  };
}

const usersOf = ({ parties }: OrderRecord): string[] => [...new Set(Object.values(parties))];

function merged(parties: Record<string, string>, changes: OrderUpdateBody["parties"]): Record<string, string> {
  const all = Object.entries({ ...parties, ...changes });
  const left = all.filter((party): party is [string, string] => party[1] !== null);
  if (left.length > maxParties) throw wrong("parties", `must be at most ${maxParties}`);
  return Object.fromEntries(left);
}

export interface EventDecision {
  outcome: ReceiveResult["outcome"];
  /** After the event. */
  order: StoredOrder;
  /** Status before. */
  from: string;
}

/** Applies an event. Throws `not_found` if there is no such order. */
export function decideEvent(
  rules: OrderingRules,
  { status, sequence, eventId, occurredAt, data = null }: OrderEventBody,
  { now, isSeen, order }: { now: number; isSeen: boolean; order: StoredOrder | undefined },
): OrderDecision<EventDecision> {
  if (order === undefined) throw new GatewayError("not_found", "No such order.", { field: "orderId" });
  const event: IncomingEvent = { status, sequence, eventId, occurredAt, data };
  const { outcome, change } = receive(rules, order.state, event, { now, isSeen });
  const from = order.state.status;
  if (change === undefined) return { answer: { outcome, order, from } };
  return {
    answer: { outcome, order: changed(order, change, now), from },
    save: toSave(rules.transitions, order, change, now),
    checkInMs: outcome === "held" || outcome === "replaced" ? rules.windowMs : undefined,
  };
}

/** Moves an order that is still in the status that it got at the time of the check. */
export function decideTimeout(
  rules: OrderingRules,
  { createdAt, status, sequence, statusAt, to }: OrderCheck & { kind: "timeout" } & { to: string },
  loaded: { now: number; order: StoredOrder | undefined },
): OrderDecision<undefined> {
  const { order } = loaded;
  const isUnchanged = order?.state.status === status && order.state.sequence === sequence;
  if (!isUnchanged || order.record.createdAt !== createdAt) return { answer: undefined };
  if (statusAt !== undefined && (order.statusAt ?? statusAt) !== statusAt) return { answer: undefined };
  const event = { status: to, data: { reason: "timeout" } };
  return { ...decideEvent(rules, event, { ...loaded, isSeen: false }), answer: undefined };
}

/** Resolves held events whose window has ended. */
export function decideRelease(
  transitions: TransitionTable,
  { now, order }: { now: number; order: StoredOrder | undefined },
): OrderDecision<undefined> {
  const change = order === undefined ? undefined : releaseExpired(transitions, order.state, now);
  if (order === undefined || change === undefined) return { answer: undefined };
  return { answer: undefined, save: toSave(transitions, order, change, now) };
}

function toSave(transitions: TransitionTable, order: StoredOrder, change: StateChange, now: number): Save {
  const { state, updatedAt } = changed(order, change, now);
  return {
    createdAt: order.record.createdAt,
    expected: order.revision,
    state,
    hasEnded: transitions.isFinal(state.status),
    updatedAt,
    ...(change.applied.length > 0 && { statusAt: now }),
    applied: change.applied,
    outbox: toOutbox(transitions, order.record, change, updatedAt),
  };
}

function toOutbox(
  transitions: TransitionTable,
  record: OrderRecord,
  { applied, refused }: StateChange,
  updatedAt: number,
): OutboxItem[] {
  const { orderId, createdAt } = record;
  return [
    ...applied.map(({ entry }): OutboxItem => ({
      kind: "status",
      order: toOpenOrder(record, entry, updatedAt),
      hasEnded: transitions.isFinal(entry.status),
      entry,
    })),
    ...refused.map(({ event, from }): OutboxItem => ({ kind: "refused", order: { orderId, createdAt }, event, from })),
  ];
}

const changed = (order: StoredOrder, { state, applied }: StateChange, now: number): StoredOrder => ({
  ...order,
  state,
  updatedAt: applied.length > 0 ? now : order.updatedAt,
});
