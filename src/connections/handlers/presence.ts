import type { Channels } from "../../channels/channels.ts";
import type { Presence } from "../../presence/presence.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { presenceMessage, presenceSetMessage } from "../../protocol/presence.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface PresenceHandlerDeps {
  presence: { members: Pick<Presence["members"], "ofAs" | "setData"> };
  channels: Pick<Channels, "startsOf">;
}

/** Client events `presence`, `presence:set`. */
export function createPresenceHandlers({ presence, channels }: PresenceHandlerDeps): ClientHandler[] {
  return [
    clientHandler("presence", presenceMessage, ({ identity }, { channel }) => presence.members.ofAs(identity, channel)),

    clientHandler("presence:set", presenceSetMessage, async ({ subscriber }, { channel, data }) => {
      const isMember = (): boolean => channels.startsOf(subscriber).has(channel);
      if (!isMember()) throw new GatewayError("not_subscribed");
      await presence.members.setData(subscriber, channel, data, isMember);
      return { channel };
    }),
  ];
}
