import { createTransitionTable, type Transitions } from "../../src/orders/transitions.ts";

/** A road with a loop in it, so that stories can be long. */
export const transitions: Transitions = {
  created: ["confirmed", "cancelled"],
  confirmed: ["cooking", "cancelled"],
  cooking: ["paused", "ready"],
  paused: ["cooking"],
  ready: ["delivered", "cooking"],
  delivered: [],
  cancelled: [],
};

export interface StoryEvent {
  status: string;
  sequence: number;
  eventId: string;
}

/** What upstreams tell of one order, and what a right timeline is in the end. */
export interface Story {
  /** In the order in which it happened. */
  events: StoryEvent[];
  /** As they arrive: shuffled and repeated. */
  arrivals: StoryEvent[];
  /** Sequences of the timeline, the beginning included. */
  timeline: number[];
  /** Ids of the events that are illegal. */
  illegal: string[];
}

const moves = createTransitionTable(transitions);
const statuses = Object.keys(transitions);

/** `illegalShare` of the events are not legal where they stand. */
export function tellStory(random: () => number, { length = 12, illegalShare = 0.1 } = {}): Story {
  const events: StoryEvent[] = [];
  const timeline = [0];
  const illegal: string[] = [];
  let at = moves.initial;
  for (let sequence = 1; sequence <= length && !moves.isFinal(at); sequence++) {
    const wantsIllegal = random() < illegalShare;
    const choices = statuses.filter((status) => moves.isLegal(at, status) !== wantsIllegal);
    const status = pick(
      random,
      choices.filter((choice) => wantsIllegal || !moves.isFinal(choice) || sequence > 8),
    );
    events.push({ status, sequence, eventId: `e-${sequence}` });
    if (wantsIllegal) illegal.push(`e-${sequence}`);
    else [at] = [status, timeline.push(sequence)] as const;
  }
  const repeats = events.filter(() => random() < 0.3);
  return { events, arrivals: shuffled(random, [...events, ...repeats]), timeline, illegal };
}

/** The same items in an order that the source of numbers decides. */
export function shuffled<T>(random: () => number, items: readonly T[]): T[] {
  return items
    .map((item) => [random(), item] as const)
    .toSorted(([a], [b]) => a - b)
    .map(([, item]) => item);
}

function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("nothing to pick from");
  return item;
}
