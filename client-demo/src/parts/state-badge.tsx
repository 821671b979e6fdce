import type { ClientState } from "../../../src/client/client.ts";
import type { Demo } from "../model/demo.ts";
import { duration } from "./format.ts";

const words: Record<ClientState, string> = {
  connecting: "Connecting",
  connected: "Connected",
  recovering: "Recovering",
  disconnected: "Cut off",
  closed: "Ended",
};

/** The connection's state, node and round trip. */
export function StateBadge({ demo }: { demo: Demo }) {
  const state = demo.state.value;
  const node = demo.ready.value?.nodeId;
  const roundTripMs = demo.roundTripMs.value;
  const isUp = state === "connected" || state === "recovering";
  return (
    <span class={`state is-${isUp && demo.isDegraded.value ? "degraded" : state}`}>
      <span role="status">{isUp && demo.isDegraded.value ? "Store away" : words[state]}</span>
      {isUp && node !== undefined && <span class="state-detail state-node">{node}</span>}
      {isUp && roundTripMs !== undefined && <span class="state-detail">{duration(roundTripMs)}</span>}
    </span>
  );
}
