import type { Schedule } from "../../commands/schedule.ts";
import {
  parseCursor,
  scheduledPage,
  scheduledParams,
  scheduledQuery,
  scheduledRemoved,
  toCursor,
} from "../../protocol/scheduled.ts";
import { route, type Route } from "../route.ts";

export interface ScheduledRouteDeps {
  schedule: Pick<Schedule, "list" | "cancel">;
}

/** `GET /v1/scheduled` and `DELETE /v1/scheduled/{scheduleId}`. */
export function createScheduledRoutes(deps: ScheduledRouteDeps): Route[] {
  return [listScheduled(deps), cancelScheduled(deps)];
}

function listScheduled({ schedule }: ScheduledRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/scheduled",
    operationId: "listScheduled",
    tag: "Publishing",
    summary: "List scheduled publications, the next first.",
    query: scheduledQuery,
    answer: scheduledPage,
  } as const;

  return route(definition, async ({ query: { limit, cursor } }) => {
    const after = cursor === undefined ? undefined : parseCursor(cursor);
    const { scheduled, next } = await schedule.list({ limit, after });
    return { body: { scheduled, ...(next === undefined ? {} : { cursor: toCursor(next) }) } };
  });
}

function cancelScheduled({ schedule }: ScheduledRouteDeps): Route {
  const definition = {
    method: "delete",
    path: "/v1/scheduled/{scheduleId}",
    operationId: "cancelScheduled",
    tag: "Publishing",
    summary: "Cancel a scheduled publication.",
    params: scheduledParams,
    answer: scheduledRemoved,
  } as const;

  return route(definition, async ({ params }) => ({ body: { removed: await schedule.cancel(params.scheduleId) } }));
}
