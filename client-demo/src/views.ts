import { boardView } from "./board/board-view.tsx";
import { bucketView } from "./bucket/bucket-view.tsx";
import { channelsView } from "./channels/channels-view.tsx";
import type { Demo } from "./model/demo.ts";
import { orderView } from "./order/order-view.tsx";
import { raceView } from "./race/race-view.tsx";
import type { DemoView } from "./view.ts";

/** The main views of the page. To add one, add a folder and a line here. */
export const views: readonly [DemoView, ...DemoView[]] = [channelsView, raceView, orderView, boardView, bucketView];

export function shownView(demo: Demo): DemoView {
  const { view } = demo.route.value;
  return views.find(({ id }) => id === view) ?? views[0];
}
