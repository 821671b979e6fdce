import { publishCall } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import type { DemoView } from "../view.ts";
import { ChannelTabs } from "./channel-tabs.tsx";
import { ChannelView } from "./channel-view.tsx";

export const channelsView: DemoView = {
  id: "channels",
  title: "Channels",
  View: ChannelsView,
  call: (demo) => publishCall(demo.activeFeed.value?.name ?? "chat:lobby", "Hello from curl"),
};

function ChannelsView({ demo }: { demo: Demo }) {
  return (
    <>
      <h1 class="hidden">Channels</h1>
      <ChannelTabs demo={demo} />
      <ChannelView demo={demo} />
    </>
  );
}
