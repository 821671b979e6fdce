import type { Demo } from "../model/demo.ts";
import type { Panel } from "../view.ts";
import { isoTime, timeOfDay } from "../parts/format.ts";

export const notesPanel: Panel = { id: "notes", title: "What happened", View: NotesView };

/** Events of the connection, newest first. */
function NotesView({ demo }: { demo: Demo }) {
  const notes = demo.notes.list.value;
  if (notes.length === 0) return <p class="hint">Nothing yet.</p>;
  return (
    <div class="notes" tabIndex={0} role="log" aria-label="What happened to the connection">
      <ol>
        {notes.map(({ key, at, tone, text }) => (
          <li key={key} class={`is-${tone}`}>
            <time dateTime={isoTime(at)}>{timeOfDay(at)}</time>
            <span>{text}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
