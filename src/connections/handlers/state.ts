import { stateSetMessage } from "../../protocol/state.ts";
import type { State } from "../../state/state.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

/** Client event `state:set`. */
export function createStateHandlers({ state }: { state: Pick<State, "setAs"> }): ClientHandler[] {
  return [
    clientHandler(
      "state:set",
      stateSetMessage,
      (connection, { channel, ...change }) => state.setAs(connection, channel, change),
      { isEphemeral: () => true },
    ),
  ];
}
