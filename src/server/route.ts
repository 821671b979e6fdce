import type { z } from "zod";

/** What a route handler gets: everything parsed. */
export interface RouteRequest<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  /** Name of the API key that called. */
  apiKey: string;
  /** From the `Idempotency-Key` header; the field in the body is in `body`. */
  idempotencyKey: string | undefined;
}

export interface RouteAnswer {
  /** @default the route's `status` */
  status?: number;
  headers?: Record<string, string>;
  body: unknown;
}

/**
 * One call of the backend API as data: the HTTP server mounts it and the OpenAPI page describes it from the same
 * schemas. The handler returns an answer or throws a GatewayError.
 */
export interface Route {
  readonly method: "get" | "post" | "put" | "delete";
  /** Path with parameters in braces: `/v1/channels/{channel}/history`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  /** Status of the ordinary answer. @default 200 */
  readonly status?: number;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  handle(request: RouteRequest<unknown, unknown, unknown>): Promise<RouteAnswer>;
}

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;

/** Ties the schemas of a route to its handler's types. */
export function route<
  P extends z.ZodType | undefined = undefined,
  Q extends z.ZodType | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(
  definition: Omit<Route, "params" | "query" | "body" | "handle"> & { params?: P; query?: Q; body?: B },
  handle: (request: RouteRequest<Output<P>, Output<Q>, Output<B>>) => Promise<RouteAnswer>,
): Route {
  return { ...definition, handle } as Route;
}
