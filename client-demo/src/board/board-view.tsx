import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import type { Demo } from "../model/demo.ts";
import { boardChannel, createSharedBoard, type SharedBoard } from "../model/shared-board.ts";
import { useModel } from "../model/use-model.ts";
import type { DemoView } from "../view.ts";
import "./board.css";
import { NoteCard } from "./note-card.tsx";

export const boardView: DemoView = {
  id: "board",
  title: "Board",
  View: BoardView,
  call: () => ({
    method: "POST",
    path: `/v1/channels/${encodeURIComponent(boardChannel)}/state`,
    body: { changes: [{ key: "note:backend", value: { text: "From curl", x: 40, y: 40 } }] },
  }),
};

function BoardView({ demo }: { demo: Demo }) {
  const board = useModel(() => createSharedBoard(demo), [demo]);
  const added = useRef<string | undefined>(undefined);
  return (
    <div class="view">
      <header class="view-head">
        <h1>A shared board</h1>
        <p class="lead">
          Notes and pointers are keys in the state of one channel. Open this page again beside it, or sign in elsewhere:
          both show the same. A pointer goes with its connection, a note stays.
        </p>
      </header>
      <Surface board={board} added={added} />
      <div class="board-controls">
        <button type="button" onClick={() => (added.current = board.add())}>
          Add a note
        </button>
        {board.problem.value !== undefined && <span role="alert">{board.problem.value}</span>}
      </div>
      <p class="hint">
        Drag a note by its upper edge, or move it with the arrow keys there. Every page sends its pointer 20 times a
        second at most; a reader gets the last place of each, so many of them cost no more than they show.
      </p>
    </div>
  );
}

/** `added`: the note that this page added last. */
function Surface({ board, added }: { board: SharedBoard; added: RefObject<string | undefined> }) {
  const surface = useRef<HTMLDivElement>(null);
  const placeOf = ({ clientX, clientY }: { clientX: number; clientY: number }) => {
    const box = surface.current?.getBoundingClientRect() ?? new DOMRect(0, 0, 1, 1);
    return { x: (100 * (clientX - box.left)) / box.width, y: (100 * (clientY - box.top)) / box.height };
  };
  return (
    <div class="board" ref={surface} onPointerMove={(event) => board.point(placeOf(event))}>
      <ul class="board-notes" aria-label="Notes">
        {board.notes.value.map((note) => (
          <NoteCard key={note.id} note={note} board={board} placeOf={placeOf} isNew={note.id === added.current} />
        ))}
      </ul>
      <div aria-hidden="true">
        {board.cursors.value.map(({ id, name, x, y }) => (
          <span class="board-cursor" key={id} style={{ left: `${x}%`, top: `${y}%` }}>
            {name}
          </span>
        ))}
      </div>
    </div>
  );
}
