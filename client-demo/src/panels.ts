import type { ComponentType } from "preact";
import type { Demo } from "./model/demo.ts";
import { connectionPanel } from "./panels/connection.tsx";
import { curlPanel } from "./panels/curl.tsx";
import { notesPanel } from "./panels/notes.tsx";
import { sessionsPanel } from "./panels/sessions.tsx";

/** A panel of the side column. To add one, add a file to `panels/` and a line here. */
export interface Panel {
  id: string;
  title: string;
  View: ComponentType<{ demo: Demo }>;
}

export const panels: readonly Panel[] = [connectionPanel, curlPanel, sessionsPanel, notesPanel];
