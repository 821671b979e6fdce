import { checkNoBinary } from "../protocol/no-binary.ts";
import { parseWith } from "../protocol/parse-with.ts";
import type { Route } from "./route.ts";

/** Calls a route by its operation id; `request` has the path parameters, the query and the body in one object. */
export type CallRoute = (operationId: string, request: object) => Promise<unknown>;

/** For an app in this process: the same checks, effects and answers as over HTTP, without HTTP. */
export function createCallRoute(routes: readonly Route[]): CallRoute {
  const byId = new Map(routes.map((route) => [route.operationId, route]));
  return async (operationId, request) => {
    const route = byId.get(operationId);
    if (route === undefined) throw new Error(`unknown operation: ${operationId}`);
    checkNoBinary(request);
    const answer = await route.handle({ ...inputOf(route, request), ...caller });
    return answer.body;
  };
}

const caller = { apiKey: "app", requestId: "", isSecure: true, address: "", door: "app" } as const;

function inputOf({ params, query, body }: Route, request: object) {
  const names = Object.keys(params?.shape ?? {});
  const entries = Object.entries(request).filter(([, value]) => value !== undefined);
  const inPath = entries.filter(([name]) => names.includes(name));
  const { since, ...rest } = Object.fromEntries(entries.filter(([name]) => !names.includes(name)));
  const { idempotencyKey } = rest as { idempotencyKey?: string };
  return {
    params: params && parseWith(params, Object.fromEntries(inPath)),
    // A position is two parameters of the query.
    query: query && parseWith(query, { ...rest, ...(since as object | undefined) }),
    body: body && parseWith(body, rest),
    idempotencyKey,
  };
}
