import type { CommandExecutor } from "../../commands/command-executor.ts";
import { clientAnswers, clientRequestBody, connectionParams } from "../../protocol/client-requests.ts";
import { userParams } from "../../protocol/sessions.ts";
import { route, type Route } from "../route.ts";

export interface ClientRequestRouteDeps {
  executor: Pick<CommandExecutor, "request">;
}

const common = {
  method: "post",
  tag: "Clients",
  description:
    "The clients answer as they acknowledge any event of Socket.IO. When the time is over, the answers so far are returned, " +
    "and the connections without one are `silent`. If `acknowledged` is less than `nodes`, some nodes did not report which " +
    "connections they have. Streams are always silent.",
  isTraffic: true,
  refusals: ["payload_too_large"],
  body: clientRequestBody,
  answer: clientAnswers,
} as const;

/** Requests of backends to clients on all nodes. */
export function createClientRequestRoutes({ executor }: ClientRequestRouteDeps): Route[] {
  const user = {
    ...common,
    path: "/v1/users/{userId}/request",
    operationId: "requestUser",
    summary: "Send an event to a user's connections and return their acknowledgements.",
    params: userParams,
  } as const;
  const connection = {
    ...common,
    path: "/v1/connections/{connectionId}/request",
    operationId: "requestConnection",
    summary: "Send an event to one connection and return its acknowledgement.",
    params: connectionParams,
  } as const;

  return [
    route(user, async ({ params, body }) => ({ body: await executor.request(params, body) })),
    route(connection, async ({ params, body }) => ({ body: await executor.request(params, body) })),
  ];
}
