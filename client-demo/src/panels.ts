import { connectionPanel } from "./panels/connection.tsx";
import { curlPanel } from "./panels/curl.tsx";
import { notesPanel } from "./panels/notes.tsx";
import { sessionsPanel } from "./panels/sessions.tsx";
import type { Panel } from "./view.ts";

/** The panels of the side column. To add one, add a file to `panels/` and a line here. */
export const panels: readonly Panel[] = [connectionPanel, curlPanel, sessionsPanel, notesPanel];
