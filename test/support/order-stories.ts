import { createTransitionTable, type Transitions } from "../../src/orders/transitions.ts";

/** Transitions with a loop, so that stories can be long. */
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

/** The events of one order, and the expected timeline. */
export interface Story {
  /** In order of occurrence. */
  events: StoryEvent[];
  /** In order of arrival: shuffled and repeated. */
  arrivals: StoryEvent[];
  /** Sequences of the timeline, including the creation. */
  timeline: number[];
  /** Ids of the events that are illegal. */
  illegal: string[];
}

const moves = createTransitionTable(transitions);
const statuses = Object.keys(transitions);

/** A share of `illegalShare` of the events is illegal at its position. */
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

/** Shuffles the items with the given random source. */
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
