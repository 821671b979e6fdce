import type { ComponentType } from "preact";
import { boardView } from "./board/board-view.tsx";
import { bucketView } from "./bucket/bucket-view.tsx";
import { channelsView } from "./channels/channels-view.tsx";
import type { BackendCall } from "./model/backend.ts";
import type { Demo } from "./model/demo.ts";
import { orderView } from "./order/order-view.tsx";
import { raceView } from "./race/race-view.tsx";

/** A main view of the page. To add one, add a folder and a line here. */
export interface DemoView {
  /** Its name in the URL. */
  id: string;
  title: string;
  View: ComponentType<{ demo: Demo }>;
  /** A call that a backend might make, shown as a curl command. */
  call(demo: Demo): BackendCall;
}

export const views: readonly [DemoView, ...DemoView[]] = [channelsView, raceView, orderView, boardView, bucketView];

export function shownView(demo: Demo): DemoView {
  const { view } = demo.route.value;
  return views.find(({ id }) => id === view) ?? views[0];
}
