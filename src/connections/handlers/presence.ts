import type { Presence } from "../../presence/presence.ts";
import { presenceMessage } from "../../protocol/presence.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface PresenceHandlerDeps {
  presence: { members: Pick<Presence["members"], "ofAs"> };
}

/** Client event `presence`. */
export function createPresenceHandlers({ presence }: PresenceHandlerDeps): ClientHandler[] {
  return [
    clientHandler("presence", presenceMessage, ({ identity, subscriber }, { channel }) =>
      presence.members.ofAs(identity, channel, subscriber),
    ),
  ];
}
