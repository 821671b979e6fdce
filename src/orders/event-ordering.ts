import { canonicalJson } from "../protocol/gate.ts";
import type { TimelineEntry } from "../protocol/orders.ts";
import type { TransitionTable } from "./transitions.ts";

/**
 * What an event does to an order: pure, so that shuffled and repeated arrivals can be tried by the thousand.
 *
 * Numbers. `sequence` is that of the last event applied. `judged` is the highest number up to which every event had its
 * turn: applied, refused as illegal, or given up when its window ended. An event beyond `judged + 1` is early and held;
 * another event, or other content, under the number or the id of a held one corrects it and takes its place.
 * An illegal event thus changes nothing that anybody sees, but those after it need not wait for its number; corrected
 * and sent again before they come, it is judged again. What was refused is remembered: a repeat is illegal too, also
 * when later events made it old, so nobody whose first answer was lost takes it for applied.
 */
export interface OrderState {
  readonly status: string;
  readonly sequence: number;
  readonly judged: number;
  /** Early events, by sequence. */
  readonly held: readonly HeldEvent[];
  /** The events refused last. */
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

/** An event as it came: without a time it happened when it arrived. */
export interface ArrivedEvent extends Omit<OrderEvent, "occurredAt"> {
  occurredAt?: number | undefined;
}

export interface HeldEvent extends OrderEvent {
  sequence: number;
  /** Epoch milliseconds at which its window ends. */
  until: number;
  /** Ids of the events that it corrected, so that a late repeat of one does not undo the correction. */
  replaced?: readonly string[];
}

export interface AppliedEvent {
  entry: TimelineEntry;
  eventId: string | undefined;
}

/** A held event whose turn came where it was not legal. */
export interface RefusedEvent {
  event: HeldEvent;
  /** Status of the order at that moment. */
  from: string;
}

/** The state after, and what happened on the way there, in order. */
export interface Change {
  state: OrderState;
  applied: readonly AppliedEvent[];
  refused: readonly RefusedEvent[];
}

export type Arrival =
  | { outcome: "applied" | "held" | "replaced" | "illegal"; change: Change }
  | { outcome: "duplicate" | "stale" | "held" | "illegal" | "full"; change?: undefined };

export interface ArrivalRules {
  moves: TransitionTable;
  /** How long an early event is held. */
  windowMs: number;
  /** Early events one order holds. */
  mostHeld: number;
}

/** `isSeen`: an event of this id was applied before. */
export function receive(
  rules: ArrivalRules,
  state: OrderState,
  arrived: ArrivedEvent,
  { now, isSeen }: { now: number; isSeen: boolean },
): Arrival {
  if (isSeen || arrived.sequence === state.sequence) return { outcome: "duplicate" };
  const held = heldAs(state, arrived);
  if (held === undefined) return judge(rules, state, arrived, now);
  if (isReplaced(held, arrived)) return { outcome: "stale" };
  return isSame(held, arrived) ? { outcome: "held" } : correct(rules, state, { held, arrived }, now);
}

function judge(rules: ArrivalRules, state: OrderState, arrived: ArrivedEvent, now: number): Arrival {
  const event = { ...arrived, occurredAt: arrived.occurredAt ?? now };
  const sequence = event.sequence ?? state.sequence + 1;
  if (sequence < state.sequence) return { outcome: wasRefused(state, sequence, event.status) ? "illegal" : "stale" };
  if (sequence > state.judged + 1) return hold(rules, state, { ...event, sequence, until: now + rules.windowMs });
  if (!rules.moves.isLegal(state.status, event.status)) return refuse(rules, state, event);
  return { outcome: "applied", change: settle(rules.moves, applyTo(unchanged(state), { ...event, sequence })) };
}

interface Correction {
  held: HeldEvent;
  arrived: ArrivedEvent;
}

/** The correction waits no longer than what it corrects would have; under another number it is judged as if it were new. */
function correct(rules: ArrivalRules, state: OrderState, { held, arrived }: Correction, now: number): Arrival {
  const { sequence = held.sequence, occurredAt = held.occurredAt } = arrived;
  const others = state.held.filter((one) => one !== held);
  if (sequence !== held.sequence) {
    const arrival = judge(rules, { ...state, held: others }, arrived, now);
    return arrival.outcome === "held" && arrival.change !== undefined ? { ...arrival, outcome: "replaced" } : arrival;
  }
  const replaced = [...(held.replaced ?? []), ...(held.eventId === undefined ? [] : [held.eventId])];
  const event = { ...arrived, sequence, occurredAt, until: held.until, replaced: replaced.slice(-mostReplaced) };
  return {
    outcome: "replaced",
    change: { ...unchanged(state), state: { ...state, held: inOrder([...others, event]) } },
  };
}

/** Ids of corrected events that a held one remembers. */
const mostReplaced = 8;

/** Lets held events go whose window ended, and those before them, in order; undefined where there are none. */
export function release(moves: TransitionTable, state: OrderState, now: number): Change | undefined {
  const due = state.held.findLast((held) => held.until <= now);
  if (due === undefined) return undefined;
  let change = unchanged(state);
  while ((change.state.held[0]?.sequence ?? Infinity) <= due.sequence) change = judgeFirst(moves, change);
  return settle(moves, change);
}

function hold({ mostHeld }: ArrivalRules, state: OrderState, event: HeldEvent): Arrival {
  if (state.held.length >= mostHeld) return { outcome: "full" };
  return {
    outcome: "held",
    change: { ...unchanged(state), state: { ...state, held: inOrder([...state.held, event]) } },
  };
}

const inOrder = (held: readonly HeldEvent[]): HeldEvent[] => held.toSorted((a, b) => a.sequence - b.sequence);

/** The number of an illegal event had its turn; what was held for it may go on. */
function refuse({ moves }: ArrivalRules, state: OrderState, { sequence, status }: OrderEvent): Arrival {
  if (sequence === undefined || wasRefused(state, sequence, status)) return { outcome: "illegal" };
  return { outcome: "illegal", change: settle(moves, unchanged(withRefused(state, sequence, status))) };
}

/** Judges held events for as long as it is their turn. */
function settle(moves: TransitionTable, start: Change): Change {
  let change = start;
  while ((change.state.held[0]?.sequence ?? Infinity) <= change.state.judged + 1) change = judgeFirst(moves, change);
  return change;
}

function judgeFirst(moves: TransitionTable, change: Change): Change {
  const [event, ...held] = change.state.held as [HeldEvent, ...HeldEvent[]];
  const state = { ...change.state, held };
  if (moves.isLegal(state.status, event.status)) return applyTo({ ...change, state }, event);
  const refused = [...change.refused, { event, from: state.status }];
  return { ...change, state: withRefused(state, event.sequence, event.status), refused };
}

function applyTo({ state, applied, refused }: Change, event: OrderEvent & { sequence: number }): Change {
  const { status, sequence, eventId, occurredAt, data } = event;
  const entry = { status, previousStatus: state.status, sequence, occurredAt, data };
  return {
    state: { ...state, status, sequence, judged: Math.max(state.judged, sequence) },
    applied: [...applied, { entry, eventId }],
    refused,
  };
}

/** Refused events that are remembered per order. */
const mostRefused = 32;

function withRefused(state: OrderState, sequence: number, status: string): OrderState {
  const refused = [...state.refused, { sequence, status }].slice(-mostRefused);
  return { ...state, judged: Math.max(state.judged, sequence), refused };
}

const wasRefused = (state: OrderState, sequence: number, status: string): boolean =>
  state.refused.some((one) => one.sequence === sequence && one.status === status);

const unchanged = (state: OrderState): Change => ({ state, applied: [], refused: [] });

/** The held event that stands under the same number, else under the same id. */
const heldAs = ({ held }: OrderState, { sequence, eventId }: ArrivedEvent): HeldEvent | undefined =>
  held.find((one) => one.sequence === sequence) ??
  held.find((one) => eventId !== undefined && (one.eventId === eventId || one.replaced?.includes(eventId)));

const isReplaced = (held: HeldEvent, { eventId }: ArrivedEvent): boolean =>
  eventId !== undefined && eventId !== held.eventId && (held.replaced?.includes(eventId) ?? false);

/** What an event leaves out is no correction of it. */
function isSame(held: HeldEvent, { sequence, eventId, status, occurredAt, data }: ArrivedEvent): boolean {
  return (
    held.sequence === (sequence ?? held.sequence) &&
    held.eventId === (eventId ?? held.eventId) &&
    held.occurredAt === (occurredAt ?? held.occurredAt) &&
    held.status === status &&
    canonicalJson(held.data) === canonicalJson(data)
  );
}
