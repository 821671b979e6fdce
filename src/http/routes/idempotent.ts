import type { RunOnce } from "../../commands/idempotency.ts";
import { fingerprint } from "../../runtime/fingerprint.ts";
import type { Route, RouteAnswer } from "../route.ts";

/**
 * Makes a repeat of a write answer as the first time, where the call brought an idempotency key. For routes that do not
 * keep their own: publishing, orders and scores take the key down into their scripts.
 */
export function idempotent(route: Route, once: RunOnce): Route {
  if (route.method === "get") return route;
  return {
    ...route,
    handle(request): Promise<RouteAnswer> {
      const { params, query, idempotencyKey: key } = request;
      const body = contentOf(request.body);
      const handle = () => route.handle({ ...request, body });
      if (key === undefined) return handle();
      const scope = `${route.operationId} ${JSON.stringify(params ?? null)}`;
      return once({ scope, key, fingerprint: fingerprint({ query, body: body ?? {} }) }, handle);
    },
  };
}

/** The body without its key, because a retry may send the key in the header. */
function contentOf(body: unknown): unknown {
  if (typeof body !== "object" || body === null || !("idempotencyKey" in body)) return body;
  const { idempotencyKey: _key, ...content } = body;
  return content;
}
