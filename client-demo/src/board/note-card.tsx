import { useLayoutEffect, useRef } from "preact/hooks";
import type { BoardNote, Place, SharedBoard } from "../model/shared-board.ts";

interface NoteCardProps {
  note: BoardNote;
  board: SharedBoard;
  placeOf: (point: { clientX: number; clientY: number }) => Place;
  /** This page has just added it: ready to be written. */
  isNew: boolean;
}

/** Percent that an arrow key moves a note. */
const step = 4;
const arrows: Record<string, Place> = {
  ArrowLeft: { x: -step, y: 0 },
  ArrowRight: { x: step, y: 0 },
  ArrowUp: { x: 0, y: -step },
  ArrowDown: { x: 0, y: step },
};

/** Part of every note stays on the board. */
const within = (percent: number): number => Math.round(10 * Math.min(90, Math.max(0, percent))) / 10;

export function NoteCard({ note, board, placeOf, isNew }: NoteCardProps) {
  const { id, text, x, y, by } = note;
  /** Where in the note it was taken. */
  const grip = useRef<Place | undefined>(undefined);
  const card = useRef<HTMLLIElement>(null);
  const paper = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    if (isNew) paper.current?.focus();
  }, []);
  const move = (to: Place): void => board.change(id, { text, x: within(to.x), y: within(to.y) });

  function take(event: PointerEvent): void {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    const [place, from] = [placeOf(event), shown()];
    grip.current = { x: place.x - from.x, y: place.y - from.y };
  }

  /** Where it is seen: a narrow page shows a note further left than its place, so that all of it is on the board. */
  function shown(): Place {
    const { left, top } = card.current?.getBoundingClientRect() ?? new DOMRect();
    const corner = placeOf({ clientX: left, clientY: top });
    return { x: Math.min(x, corner.x), y: Math.min(y, corner.y) };
  }

  function drag(event: PointerEvent): void {
    if (grip.current === undefined) return;
    const place = placeOf(event);
    move({ x: place.x - grip.current.x, y: place.y - grip.current.y });
  }

  function press(event: KeyboardEvent): void {
    const by = arrows[event.key];
    if (by === undefined) return;
    event.preventDefault();
    const from = shown();
    move({ x: from.x + by.x, y: from.y + by.y });
  }

  return (
    <li class="board-note" ref={card} style={{ "--x": `${x}%`, "--y": `${y}%` }}>
      <div class="board-note-head">
        <button
          type="button"
          class="board-note-grip"
          aria-label={`Move the note of ${by}`}
          onPointerDown={take}
          onPointerMove={drag}
          onPointerUp={() => (grip.current = undefined)}
          onKeyDown={press}
        >
          {by}
        </button>
        <button type="button" class="quiet" aria-label={`Remove the note of ${by}`} onClick={() => board.remove(id)}>
          ×
        </button>
      </div>
      <textarea
        ref={paper}
        aria-label={`Note of ${by}`}
        maxLength={400}
        value={text}
        onInput={(event) => board.change(id, { text: event.currentTarget.value, x, y })}
      />
    </li>
  );
}
