import type { Clock } from "../runtime/clock.ts";
import type { LiveTrace, TracedEvent, TraceKind } from "../protocol/operator/traces.ts";

/** What happened, as recorded by the part of the node where it happened. */
export interface TraceFacts extends Partial<Omit<TracedEvent, "args" | "answer" | "receivers" | "connectionIds">> {
  kind: TraceKind;
  /** Arguments and answer of an event; stored as bounded text without tokens. */
  args?: unknown;
  answer?: unknown;
  /** Connections that a publication was delivered to. */
  receivers?: readonly { readonly id: string; readonly userId: string }[];
}

/** Events of one trace on this node, after a place. */
export interface TracePage {
  trace: LiveTrace;
  events: TracedEvent[];
  /** Place of the last event. */
  last: number;
  /** Events that were not kept because there were too many. */
  skipped: number;
  hasEnded: boolean;
}

/** Max traces at a time. */
export const maxTraces = 8;
const maxEvents = 1_000;
const maxPerSecond = 100;
/** Max events of one answer. */
const maxPage = 500;
/** How long the events of a trace that has ended can be read. */
const keptMs = 60_000;
const maxConnectionIds = 16;

interface RecordedTrace {
  trace: LiveTrace;
  events: TracedEvent[];
  last: number;
  /** Place up to which somebody has read. */
  readUpTo: number;
  skipped: number;
  second: number;
  inSecond: number;
  hasEnded: boolean;
}

/**
 * Records what happens on this node to a user, connection or channel while an operator traces it. Everything is bounded:
 * the number of traces, their duration, the events kept and the events per second; what exceeds it is counted. Callers
 * check `isActive` first, so that nothing is collected while nobody traces.
 */
export class LiveTraces {
  readonly #clock: Pick<Clock, "now" | "after">;
  readonly #running = new Map<string, RecordedTrace>();
  readonly #known = new Map<string, RecordedTrace>();

  constructor(clock: Pick<Clock, "now" | "after">) {
    this.#clock = clock;
  }

  get isActive(): boolean {
    return this.#running.size > 0;
  }

  /** Traces that run now. */
  list(): LiveTrace[] {
    return [...this.#running.values()].map(({ trace }) => trace);
  }

  /** False if there are too many; true if it runs already. */
  start(trace: LiveTrace): boolean {
    if (this.#known.has(trace.traceId)) return true;
    const leftMs = trace.endsAt - this.#clock.now();
    if (this.#running.size >= maxTraces || leftMs <= 0) return false;
    const recorded = { trace, events: [], last: 0, readUpTo: 0, skipped: 0, second: 0, inSecond: 0, hasEnded: false };
    this.#running.set(trace.traceId, recorded);
    this.#known.set(trace.traceId, recorded);
    this.#clock.after(leftMs, () => this.stop(trace.traceId));
    return true;
  }

  /** False if it does not run. */
  stop(traceId: string): boolean {
    const recorded = this.#running.get(traceId);
    if (recorded === undefined) return false;
    recorded.hasEnded = true;
    this.#running.delete(traceId);
    this.#clock.after(keptMs, () => void this.#known.delete(traceId));
    return true;
  }

  /** The events after a place, oldest first. Undefined if the trace is unknown here. */
  read(traceId: string, after: number): TracePage | undefined {
    const recorded = this.#known.get(traceId);
    if (recorded === undefined) return undefined;
    const { trace, skipped, hasEnded } = recorded;
    const events = recorded.events.filter(({ place }) => place > after).slice(0, maxPage);
    const last = events.at(-1)?.place ?? after;
    recorded.readUpTo = Math.max(recorded.readUpTo, last);
    return { trace, events, last, skipped, hasEnded };
  }

  record(facts: TraceFacts): void {
    for (const recorded of this.#running.values()) if (concerns(recorded.trace, facts)) this.#add(recorded, facts);
  }

  #add(recorded: RecordedTrace, facts: TraceFacts): void {
    const at = this.#clock.now();
    if (this.#isOverRate(recorded, at)) return void (recorded.skipped += 1);
    // Places increase even if the node restarts, so that a reader's place stays valid.
    recorded.last = Math.max(recorded.last + 1, Math.floor(at) * 1_000);
    recorded.events.push(toEvent(recorded.trace, facts, { at, place: recorded.last }));
    if (recorded.events.length <= maxEvents) return;
    const dropped = recorded.events.shift();
    if (dropped !== undefined && dropped.place > recorded.readUpTo) recorded.skipped += 1;
  }

  #isOverRate(recorded: RecordedTrace, at: number): boolean {
    const second = Math.floor(at / 1_000);
    if (second !== recorded.second) Object.assign(recorded, { second, inSecond: 0 });
    recorded.inSecond += 1;
    return recorded.inSecond > maxPerSecond;
  }
}

function concerns({ userId, connectionId, channel }: LiveTrace, facts: TraceFacts): boolean {
  if (channel !== undefined) return facts.channel === channel;
  if (userId !== undefined)
    return facts.userId === userId || facts.receivers?.some((one) => one.userId === userId) === true;
  return facts.connectionId === connectionId || facts.receivers?.some(({ id }) => id === connectionId) === true;
}

function toEvent(trace: LiveTrace, facts: TraceFacts, when: Pick<TracedEvent, "at" | "place">): TracedEvent {
  const { args, answer, receivers, detail, event, ...rest } = facts;
  return {
    ...rest,
    ...when,
    ...(event === undefined ? {} : { event: event.slice(0, maxName) }),
    ...(detail === undefined ? {} : { detail: detail.slice(0, maxName) }),
    ...(args === undefined ? {} : { args: toText(args) }),
    ...(answer === undefined ? {} : { answer: toText(answer) }),
    ...(receivers === undefined ? {} : receiversOf(trace, receivers)),
  };
}

function receiversOf(
  { userId, connectionId, channel }: LiveTrace,
  receivers: NonNullable<TraceFacts["receivers"]>,
): Pick<TracedEvent, "receivers" | "connectionIds"> {
  if (channel !== undefined) return { receivers: receivers.length };
  const own = receivers.filter((one) => one.userId === userId || one.id === connectionId);
  return { receivers: receivers.length, connectionIds: own.slice(0, maxConnectionIds).map(({ id }) => id) };
}

const maxName = 256;
const maxText = 1_000;
const maxString = 200;
const maxItems = 8;
const secretNames = /^(token|ticket|secret|password|authorization|cookie)$/i;

/** Bounded JSON without what could be a secret. */
function toText(value: unknown): string {
  const text = JSON.stringify(value, (name, item: unknown) => {
    if (secretNames.test(name) && item !== undefined) return "***";
    if (typeof item === "string" && item.length > maxString) return `${item.slice(0, maxString)}…`;
    if (Array.isArray(item) && item.length > maxItems)
      return [...(item as unknown[]).slice(0, maxItems), `… ${item.length - maxItems} more`];
    return item;
  });
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text;
}
