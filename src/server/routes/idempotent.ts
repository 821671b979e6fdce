import type { Once } from "../../publishing/idempotency.ts";
import { fingerprint } from "../../runtime/fingerprint.ts";
import type { Route, RouteAnswer } from "../route.ts";

/**
 * Makes a repeat of a write answer as the first time, where the call brought an idempotency key. For routes that do not
 * keep their own: publishing, orders and scores take the key down into their scripts.
 */
export function idempotent(route: Route, once: Once): Route {
  if (route.method === "get") return route;
  return {
    ...route,
    handle(request): Promise<RouteAnswer> {
      const { params, query, body, idempotencyKey: key } = request;
      if (key === undefined) return route.handle(request);
      const scope = `${route.operationId} ${JSON.stringify(params ?? null)}`;
      return once({ scope, key, fingerprint: fingerprint({ query, body: body ?? null }) }, () => route.handle(request));
    },
  };
}
