import type { ComponentType } from "preact";
import type { BackendCall } from "./model/backend.ts";
import type { Demo } from "./model/demo.ts";

/** A panel of the side column. */
export interface Panel {
  id: string;
  title: string;
  View: ComponentType<{ demo: Demo }>;
}

/** A main view of the page; its `id` is its name in the URL. */
export interface DemoView extends Panel {
  /** A call that a backend might make, shown as a curl command. */
  call(demo: Demo): BackendCall;
}
