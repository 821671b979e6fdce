/** From each status, the statuses an order may move to. The first key is where orders begin. */
export type Transitions = Readonly<Record<string, readonly string[]>>;

/** The road that orders may take. */
export interface TransitionTable {
  /** The status of a new order that names none. */
  readonly initial: string;
  isKnown(status: string): boolean;
  isLegal(from: string, to: string): boolean;
  /** True where no status follows: the order has ended. */
  isFinal(status: string): boolean;
}

/** A status named only as a target ends the order. Throws where no status is named at all. */
export function createTransitionTable(transitions: Transitions): TransitionTable {
  const next = new Map(Object.entries(transitions).map(([from, to]) => [from, new Set(to)] as const));
  const known = new Set([...next.keys(), ...Object.values(transitions).flat()]);
  const [initial] = next.keys();
  if (initial === undefined) throw new Error("the transitions contain no status");
  return {
    initial,
    isKnown: (status) => known.has(status),
    isLegal: (from, to) => next.get(from)?.has(to) ?? false,
    isFinal: (status) => (next.get(status)?.size ?? 0) === 0,
  };
}
