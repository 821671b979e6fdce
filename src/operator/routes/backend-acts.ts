import type { Route, RouteAnswer } from "../../http/route.ts";

/** Backend calls that an admin may make too; each adds a line to the audit log. */
const shared: readonly string[] = [
  "blockUser",
  "unblockUser",
  "updateSession",
  "subscribeUser",
  "unsubscribeUser",
  "requestUser",
  "requestConnection",
  "publish",
  "deleteHistory",
  "cancelScheduled",
];

/** The calls of the backend API that operators share with backends, under `/v1/operator`. */
export const createBackendActs = (backendRoutes: readonly Route[]): Route[] =>
  backendRoutes.filter(({ operationId }) => shared.includes(operationId)).map(toAct);

const toAct = (route: Route): Route => ({
  ...route,
  path: route.path.replace("/v1/", "/v1/operator/"),
  operationId: `operator${route.operationId.charAt(0).toUpperCase()}${route.operationId.slice(1)}`,
  tag: "Operators",
  access: "admin",
  handle: async (request) => withoutSessionData(await route.handle(request)),
});

/** What backends store with a session is shown to no operator. */
function withoutSessionData(answer: RouteAnswer): RouteAnswer {
  const { session, ...rest } = answer.body as { session?: { data?: unknown } };
  if (session === undefined) return answer;
  const { data: _private, ...shown } = session;
  return { ...answer, body: { ...rest, session: shown } };
}
