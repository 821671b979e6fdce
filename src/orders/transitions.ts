/** From each status, the statuses an order may move to. The first key is the initial status. */
export type Transitions = Readonly<Record<string, readonly string[]>>;

/** By status: how long an order may stay in it, and where it moves then. */
export type OrderTimeouts = Readonly<Record<string, { afterSeconds: number; to: string }>>;

/** Which status changes are legal. */
export interface TransitionTable {
  /** Default status of a new order. */
  readonly initial: string;
  isKnown(status: string): boolean;
  isLegal(from: string, to: string): boolean;
  /** True if no status can follow: the order has ended. */
  isFinal(status: string): boolean;
}

/** A status that appears only as a target is final. Throws if there is no status at all. */
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
