import { route, type Route } from "../../http/route.ts";
import { GatewayError } from "../../protocol/errors.ts";
import {
  traceBody,
  tracePage,
  traceParams,
  traceQuery,
  tracesAnswer,
  traceStarted,
  traceStopped,
} from "../../protocol/operator/traces.ts";
import type { TraceService } from "../trace-service.ts";
import { seesPayloads } from "./views.ts";

export interface TraceRouteDeps {
  traces: TraceService;
  showPayloads: boolean;
}

const common = { tag: "Operators" } as const;

/** Tracing a user, a connection or a channel live. */
export function createTraceRoutes({ traces, showPayloads }: TraceRouteDeps): Route[] {
  return [
    route(
      {
        ...common,
        method: "post",
        path: "/v1/operator/traces",
        operationId: "startTrace",
        summary: "Trace one user, connection or channel live, on all nodes.",
        description:
          "It ends by itself. At most 8 run at a time, and each node keeps at most 100 events a second and 1,000 in all.",
        status: 201,
        access: "admin",
        refusals: ["conflict"],
        body: traceBody,
        answer: traceStarted,
      },
      async ({ body, apiKey }) => ({ body: await traces.start(body, apiKey) }),
    ),
    route(
      {
        ...common,
        method: "get",
        path: "/v1/operator/traces",
        operationId: "listTraces",
        summary: "The traces that run now.",
        access: "operator",
        answer: tracesAnswer,
      },
      async () => ({ body: await traces.list() }),
    ),
    route(
      {
        ...common,
        method: "get",
        path: "/v1/operator/traces/{traceId}",
        operationId: "readTrace",
        summary: "What happened since the cursor: handshakes, events, publications, recoveries, refusals and closings.",
        description: "A trace can be read until a minute after its end.",
        access: "operator",
        refusals: ["not_found"],
        params: traceParams,
        query: traceQuery,
        answer: tracePage,
      },
      async ({ params: { traceId }, query: { cursor }, role }) => {
        const page = await traces.read(traceId, cursor);
        if (page === undefined) throw new GatewayError("not_found", "This trace has ended, or never was.");
        if (seesPayloads(role, showPayloads)) return { body: page };
        return { body: { ...page, events: page.events.map(({ args: _args, answer: _answer, ...event }) => event) } };
      },
    ),
    route(
      {
        ...common,
        method: "delete",
        path: "/v1/operator/traces/{traceId}",
        operationId: "stopTrace",
        summary: "End a trace.",
        access: "admin",
        params: traceParams,
        answer: traceStopped,
      },
      async ({ params: { traceId } }) => ({ body: await traces.stop(traceId) }),
    ),
  ];
}
