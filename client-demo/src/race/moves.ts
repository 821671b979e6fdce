import { useEffect, useRef, useState } from "preact/hooks";
import type { BoardEntry } from "../../../src/client/client.ts";

export type Move = "up" | "down";

/** How long a move is shown. */
const shownMs = 1_500;

interface Place {
  rank: number;
  move: Move | undefined;
  /** Milliseconds of the page's clock. */
  movedAt: number;
}

/** Which members have moved up or down lately. One who is new on the list has moved up. */
export function useMoves(entries: readonly BoardEntry[]): ReadonlyMap<string, Move> {
  const places = useRef<ReadonlyMap<string, Place>>(new Map());
  const [, render] = useState(0);
  const now = performance.now();
  places.current = placesAfter(places.current, entries, now);
  const moves = [...places.current].flatMap(([member, { move, movedAt }]) =>
    move !== undefined && now - movedAt < shownMs ? [[member, move] as const] : [],
  );

  useEffect(() => {
    if (moves.length === 0) return undefined;
    const timer = setTimeout(() => render((count) => count + 1), shownMs);
    return () => clearTimeout(timer);
  });
  return new Map(moves);
}

function placesAfter(
  before: ReadonlyMap<string, Place>,
  entries: readonly BoardEntry[],
  now: number,
): ReadonlyMap<string, Place> {
  return new Map(
    entries.map(({ member, rank }) => {
      const known = before.get(member);
      if (known?.rank === rank) return [member, known];
      const isFirstList = before.size === 0;
      const move = known === undefined || rank < known.rank ? "up" : "down";
      return [member, { rank, move: isFirstList ? undefined : move, movedAt: now }];
    }),
  );
}
