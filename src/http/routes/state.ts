import { channelParams } from "../../protocol/publications.ts";
import { stateAnswer, stateBody, stateSnapshot } from "../../protocol/state.ts";
import type { State } from "../../state/state.ts";
import { route, type Route } from "../route.ts";

const path = "/v1/channels/{channel}/state";

/** `GET` and `POST /v1/channels/{channel}/state`. */
export function createStateRoutes({ state }: { state: Pick<State, "read" | "set"> }): Route[] {
  return [readState(state), setState(state)];
}

const readState = (state: Pick<State, "read">): Route =>
  route(
    {
      method: "get",
      path,
      operationId: "readState",
      tag: "Channels",
      summary: "Read a channel's state.",
      description: "All keys, as they are now. Channels whose kind has no `state` are refused as `forbidden`.",
      refusals: ["forbidden", "unknown_channel"],
      params: channelParams,
      answer: stateSnapshot,
    },
    async ({ params }) => ({ body: await state.read(params.channel) }),
  );

const setState = (state: Pick<State, "set">): Route =>
  route(
    {
      method: "post",
      path,
      operationId: "setState",
      tag: "Channels",
      summary: "Set and remove keys of a channel's state.",
      description:
        "All changes are applied together, or none. Subscribers receive the changes as `state`. Channels whose kind has no `state` are refused as `forbidden`; what would exceed `limits.state` as `payload_too_large`.",
      refusals: ["forbidden", "unknown_channel", "payload_too_large"],
      params: channelParams,
      body: stateBody,
      answer: stateAnswer,
    },
    async ({ params, body }) => ({ body: { revision: await state.set(params.channel, body.changes) } }),
  );
