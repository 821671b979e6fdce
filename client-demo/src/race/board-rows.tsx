import type { BoardEntry } from "../../../src/client/client.ts";
import { useMoves, type Move } from "./moves.ts";

/**
 * Entries in order, each with a bar for its score. A row stays where it is and changes its text, so that a board that changes ten
 * times a second can be read; an arrow says for a moment who has moved.
 */
export function BoardRows({
  label,
  entries,
  ownName,
}: {
  label: string;
  entries: readonly BoardEntry[];
  ownName: string;
}) {
  const moves = useMoves(entries);
  const lengthOf = createBars(entries);
  return (
    <ol class="racers" aria-label={label}>
      {entries.map((entry, index) => (
        <Racer
          key={index}
          entry={entry}
          move={moves.get(entry.member)}
          length={lengthOf(entry.score)}
          isOwn={entry.member === ownName}
          tie={tieOf(entries, index)}
        />
      ))}
    </ol>
  );
}

type Tie = "first" | "later" | undefined;

const ties = {
  first: { text: "level, got there first", title: "Same score as the next: whoever reached it first stands above." },
  later: { text: "level", title: "Same score as the one above, reached later." },
};

interface RacerProps {
  entry: BoardEntry;
  length: number;
  isOwn: boolean;
  tie: Tie;
  move: Move | undefined;
}

function Racer({ entry, length, isOwn, tie, move }: RacerProps) {
  return (
    <li class={isOwn ? "racer is-own" : "racer"}>
      <span class="racer-bar" style={{ transform: `scaleX(${length.toFixed(3)})` }} />
      <span class="racer-rank">{entry.rank}</span>
      <span class="racer-name">
        <span>{entry.member}</span>
        {move !== undefined && (
          <span class={`racer-move is-${move}`} aria-hidden="true">
            {move === "up" ? "▲" : "▼"}
          </span>
        )}
        {isOwn && <span class="tag">you</span>}
      </span>
      {tie !== undefined && (
        <span class="racer-tie" title={ties[tie].title}>
          {ties[tie].text}
        </span>
      )}
      <span class="racer-score">{entry.score}</span>
    </li>
  );
}

/** Whether adjacent entries have the same score. */
function tieOf(entries: readonly BoardEntry[], index: number): Tie {
  const score = entries[index]?.score;
  if (entries[index - 1]?.score === score) return "later";
  return entries[index + 1]?.score === score ? "first" : undefined;
}

const minBar = 0.12;

/** Bars show the differences, which are small compared with the scores. */
function createBars(entries: readonly BoardEntry[]): (score: number) => number {
  const scores = entries.map(({ score }) => score);
  const [least, most] = [Math.min(...scores), Math.max(...scores)];
  return (score) => (most === least ? 1 : minBar + ((1 - minBar) * (score - least)) / (most - least));
}
