import type { Presence } from "../../presence/presence.ts";
import { presenceAnswer } from "../../protocol/presence.ts";
import { channelParams } from "../../protocol/publications.ts";
import { route, type Route } from "../route.ts";

export interface PresenceRouteDeps {
  presence: { members: Pick<Presence["members"], "of"> };
}

/** `GET /v1/channels/{channel}/presence`. */
export function createPresenceRoutes({ presence }: PresenceRouteDeps): Route[] {
  const definition = {
    method: "get",
    path: "/v1/channels/{channel}/presence",
    operationId: "readPresence",
    tag: "Channels",
    summary: "List the users present in a channel.",
    description: "Across all nodes. Channels whose kind has no `presence` are refused as `forbidden`.",
    refusals: ["forbidden", "unknown_channel"],
    params: channelParams,
    answer: presenceAnswer,
  } as const;

  return [route(definition, async ({ params }) => ({ body: await presence.members.of(params.channel) }))];
}
