import { GatewayError } from "../../protocol/errors.ts";
import { limitParams, limitTaken, takeLimitBody } from "../../protocol/limits.ts";
import { wrong } from "../../protocol/parse-with.ts";
import { route, type Route } from "../route.ts";

/** A limiter's result, as `throttling` returns it; undefined if no limit of this name is configured. */
export type TakeLimit = (
  name: string,
  key: string,
  cost?: number,
) => Promise<{ allowed: boolean; limit: number; remaining: number; resetAt: number; retryAfterMs: number } | undefined>;

export interface LimitRouteDeps {
  takeLimit: TakeLimit;
}

/** The gateway's exact limiters for a backend's own purposes. */
export function createLimitRoutes({ takeLimit }: LimitRouteDeps): Route[] {
  const definition = {
    method: "post",
    path: "/v1/limits/{name}/take",
    operationId: "takeLimit",
    tag: "Limits",
    summary: "Take from a limit of your own, exact across all nodes and backends.",
    description:
      "All or nothing: a refused call takes nothing. A refusal is a result with `allowed: false`, not an error.",
    refusals: ["not_found"],
    params: limitParams,
    body: takeLimitBody,
    answer: limitTaken,
  } as const;

  return [
    route(definition, async ({ params: { name }, body: { key, cost = 1 } }) => {
      const result = await takeLimit(name, key, cost);
      if (result === undefined) throw new GatewayError("not_found", "No limit of this name is configured.");
      const { allowed, limit, remaining, resetAt, retryAfterMs } = result;
      if (cost > limit) throw wrong("cost", `must be at most ${limit}, which is the whole limit`);
      return { body: { allowed, limit, remaining, resetAt, retryAfterMs } };
    }),
  ];
}
