import { refusalOf } from "../commands/refusal.ts";
import { GatewayError } from "../protocol/errors.ts";
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
    if (typeof request !== "object" || request === null) throw new GatewayError("bad_request", "must be an object");
    checkNoBinary(request);
    const input = { ...inputOf(route, request), ...caller };
    const answer = await Promise.resolve(route.handle(input)).catch(outageAsRefusal);
    return answer.body;
  };
}

/** An outage of Redis is a refusal, as over HTTP; what else is thrown says more as it is. */
function outageAsRefusal(error: unknown): never {
  const refusal = refusalOf(error);
  throw refusal.code === "internal" ? error : refusal;
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
