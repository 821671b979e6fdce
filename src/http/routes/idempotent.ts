import type { CommandExecutor } from "../../commands/command-executor.ts";
import { takesKey, type Route, type RouteAnswer } from "../route.ts";

/** Passes a route's writes through the executor, unless its handler does: a retry gets the first response. */
export function idempotent(route: Route, executor: Pick<CommandExecutor, "write">): Route {
  if (!takesKey(route) || route.performsCommands === true) return route;
  return {
    ...route,
    handle(request): Promise<RouteAnswer> {
      const { params, query, idempotencyKey } = request;
      const body = contentOf(request.body);
      const handle = () => route.handle({ ...request, body });
      const scope = `${route.operationId} ${JSON.stringify(params ?? null)}`;
      return executor.write({ scope, content: { query, body: body ?? {} }, idempotencyKey }, handle);
    },
  };
}

/** The body without its key, because a retry may send the key in the header. */
function contentOf(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !("idempotencyKey" in body)) return body;
  const { idempotencyKey: _key, ...content } = body;
  return content;
}
