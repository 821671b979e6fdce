import { canonicalJson } from "../protocol/gate.ts";
import type { TimelineEntry } from "../protocol/order.ts";
import type { TransitionTable } from "./transitions.ts";

/**
 * The reorder buffer of an order: what an incoming event does to it. Pure, so that tests can try thousands of shuffled and
 * repeated sequences.
 *
 * `sequence` is the number of the last applied event. `resolved` is the highest number up to which every event is
 * resolved: applied, refused as illegal, or skipped when the reorder window ended. An event beyond `resolved + 1` is
 * early and held; an event with the same number or id as a held one, but other content, replaces it.
 * An illegal event changes nothing visible, but later events need not wait for its number; if a corrected event with
 * that number arrives before them, it is applied. Refused numbers are remembered: a repeat is illegal again, even after
 * later events, so a sender that lost the first response does not take it for applied.
 */
export interface OrderState {
  readonly status: string;
  readonly sequence: number;
  readonly resolved: number;
  /** Early events, by sequence. */
  readonly held: readonly HeldEvent[];
  /** The last refused events. */
  readonly refused: readonly RefusedNumber[];
}

export interface RefusedNumber {
  sequence: number;
  status: string;
}

export interface OrderEvent {
  status: string;
  sequence?: number | undefined;
  eventId?: string | undefined;
  occurredAt: number;
  data: unknown;
}

/** An event as received; without `occurredAt` it occurred on arrival. */
export interface IncomingEvent extends Omit<OrderEvent, "occurredAt"> {
  occurredAt?: number | undefined;
}

export interface HeldEvent extends OrderEvent {
  sequence: number;
  /** Epoch milliseconds at which its reorder window ends. */
  until: number;
  /** Ids of the events that it replaced, so that a late repeat of one does not undo the correction. */
  replaced?: readonly string[];
}

export interface AppliedEvent {
  entry: TimelineEntry;
  eventId: string | undefined;
}

/** A held event that was illegal when its turn came. */
export interface RefusedEvent {
  event: HeldEvent;
  /** Status of the order at that moment. */
  from: string;
}

/** The new state, and the events applied and refused on the way there, in order. */
export interface StateChange {
  state: OrderState;
  applied: readonly AppliedEvent[];
  refused: readonly RefusedEvent[];
}

export type ReceiveResult =
  | { outcome: "applied" | "held" | "replaced" | "illegal"; change: StateChange }
  | { outcome: "duplicate" | "stale" | "held" | "illegal" | "full"; change?: undefined };

export interface OrderingRules {
  transitions: TransitionTable;
  /** Reorder window: max milliseconds that an early event is held. */
  windowMs: number;
  /** Max held events per order. */
  maxHeld: number;
}

/** `isSeen`: an event with this id was applied before. */
export function receive(
  rules: OrderingRules,
  state: OrderState,
  incoming: IncomingEvent,
  { now, isSeen }: { now: number; isSeen: boolean },
): ReceiveResult {
  if (isSeen || incoming.sequence === state.sequence) return { outcome: "duplicate" };
  const held = heldAs(state, incoming);
  if (held === undefined) return resolve(rules, state, incoming, now);
  if (isReplaced(held, incoming)) return { outcome: "stale" };
  if (!rules.transitions.isKnown(incoming.status)) return { outcome: "illegal" };
  return isSame(held, incoming) ? { outcome: "held" } : correct(rules, state, { held, incoming }, now);
}

function resolve(rules: OrderingRules, state: OrderState, incoming: IncomingEvent, now: number): ReceiveResult {
  const event = { ...incoming, occurredAt: incoming.occurredAt ?? now };
  const sequence = event.sequence ?? state.sequence + 1;
  if (sequence < state.sequence) return { outcome: wasRefused(state, sequence, event.status) ? "illegal" : "stale" };
  if (sequence > state.resolved + 1) return hold(rules, state, { ...event, sequence, until: now + rules.windowMs });
  if (!rules.transitions.isLegal(state.status, event.status)) return refuse(rules, state, event);
  return {
    outcome: "applied",
    change: resolveReady(rules.transitions, applyTo(unchanged(state), { ...event, sequence })),
  };
}

interface Correction {
  held: HeldEvent;
  incoming: IncomingEvent;
}

/** The correction keeps the window of the event it replaces; with another number it is treated as a new event. */
function correct(rules: OrderingRules, state: OrderState, { held, incoming }: Correction, now: number): ReceiveResult {
  const { sequence = held.sequence, occurredAt = held.occurredAt } = incoming;
  const others = state.held.filter((one) => one !== held);
  if (sequence !== held.sequence) {
    const result = resolve(rules, { ...state, held: others }, incoming, now);
    return result.outcome === "held" && result.change !== undefined ? { ...result, outcome: "replaced" } : result;
  }
  const replaced = [...(held.replaced ?? []), ...(held.eventId === undefined ? [] : [held.eventId])];
  const event = { ...incoming, sequence, occurredAt, until: held.until, replaced: replaced.slice(-maxReplacedIds) };
  return {
    outcome: "replaced",
    change: { ...unchanged(state), state: { ...state, held: inOrder([...others, event]) } },
  };
}

/** Max ids of replaced events that a held event remembers. */
const maxReplacedIds = 8;

/** Resolves held events whose window has ended, and those before them, in order; undefined if there are none. */
export function releaseExpired(transitions: TransitionTable, state: OrderState, now: number): StateChange | undefined {
  const due = state.held.findLast((held) => held.until <= now);
  if (due === undefined) return undefined;
  let change = unchanged(state);
  while ((change.state.held[0]?.sequence ?? Infinity) <= due.sequence) change = resolveFirst(transitions, change);
  return resolveReady(transitions, change);
}

/** A status that is not configured is illegal whenever its turn comes. */
function hold({ transitions, maxHeld }: OrderingRules, state: OrderState, event: HeldEvent): ReceiveResult {
  if (!transitions.isKnown(event.status)) return { outcome: "illegal" };
  if (state.held.length >= maxHeld) return { outcome: "full" };
  return {
    outcome: "held",
    change: { ...unchanged(state), state: { ...state, held: inOrder([...state.held, event]) } },
  };
}

const inOrder = (held: readonly HeldEvent[]): HeldEvent[] => held.toSorted((a, b) => a.sequence - b.sequence);

/** The number of an illegal event counts as resolved, which may release held events. */
function refuse({ transitions }: OrderingRules, state: OrderState, { sequence, status }: OrderEvent): ReceiveResult {
  if (sequence === undefined || wasRefused(state, sequence, status)) return { outcome: "illegal" };
  return { outcome: "illegal", change: resolveReady(transitions, unchanged(withRefused(state, sequence, status))) };
}

/** Resolves held events while the next number is available. */
function resolveReady(transitions: TransitionTable, start: StateChange): StateChange {
  let change = start;
  while ((change.state.held[0]?.sequence ?? Infinity) <= change.state.resolved + 1)
    change = resolveFirst(transitions, change);
  return change;
}

function resolveFirst(transitions: TransitionTable, change: StateChange): StateChange {
  const [event, ...held] = change.state.held as [HeldEvent, ...HeldEvent[]];
  const state = { ...change.state, held };
  if (transitions.isLegal(state.status, event.status)) return applyTo({ ...change, state }, event);
  const refused = [...change.refused, { event, from: state.status }];
  return { ...change, state: withRefused(state, event.sequence, event.status), refused };
}

function applyTo({ state, applied, refused }: StateChange, event: OrderEvent & { sequence: number }): StateChange {
  const { status, sequence, eventId, occurredAt, data } = event;
  const entry = { status, previousStatus: state.status, sequence, occurredAt, data };
  return {
    state: { ...state, status, sequence, resolved: Math.max(state.resolved, sequence) },
    applied: [...applied, { entry, eventId }],
    refused,
  };
}

/** Max refused events remembered per order. */
const maxRefused = 32;

function withRefused(state: OrderState, sequence: number, status: string): OrderState {
  const refused = [...state.refused, { sequence, status }].slice(-maxRefused);
  return { ...state, resolved: Math.max(state.resolved, sequence), refused };
}

const wasRefused = (state: OrderState, sequence: number, status: string): boolean =>
  state.refused.some((one) => one.sequence === sequence && one.status === status);

const unchanged = (state: OrderState): StateChange => ({ state, applied: [], refused: [] });

/** The held event with the same number, else with the same id. */
const heldAs = ({ held }: OrderState, { sequence, eventId }: IncomingEvent): HeldEvent | undefined =>
  held.find((one) => one.sequence === sequence) ??
  held.find((one) => eventId !== undefined && (one.eventId === eventId || one.replaced?.includes(eventId)));

const isReplaced = (held: HeldEvent, { eventId }: IncomingEvent): boolean =>
  eventId !== undefined && eventId !== held.eventId && (held.replaced?.includes(eventId) ?? false);

/** Fields that the incoming event omits count as equal. */
function isSame(held: HeldEvent, { sequence, eventId, status, occurredAt, data }: IncomingEvent): boolean {
  return (
    held.sequence === (sequence ?? held.sequence) &&
    held.eventId === (eventId ?? held.eventId) &&
    held.occurredAt === (occurredAt ?? held.occurredAt) &&
    held.status === status &&
    canonicalJson(held.data) === canonicalJson(data)
  );
}
