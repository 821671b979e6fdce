import { channelParams } from "../../protocol/publications.ts";
import { stateAnswer, stateBody } from "../../protocol/state.ts";
import type { State } from "../../state/state.ts";
import { route, type Route } from "../route.ts";

/** `POST /v1/channels/{channel}/state`. */
export function createStateRoutes({ state }: { state: Pick<State, "set"> }): Route[] {
  const definition = {
    method: "post",
    path: "/v1/channels/{channel}/state",
    operationId: "setState",
    tag: "Channels",
    summary: "Set and remove keys of a channel's state.",
    description:
      "All changes are applied together, or none. Subscribers receive the changes as `state`. Channels whose kind has no `state` are refused as `forbidden`; what would exceed `limits.state` as `payload_too_large`.",
    refusals: ["forbidden", "unknown_channel", "payload_too_large"],
    params: channelParams,
    body: stateBody,
    answer: stateAnswer,
  } as const;

  return [
    route(definition, async ({ params, body }) => ({
      body: { revision: await state.set(params.channel, body.changes) },
    })),
  ];
}
