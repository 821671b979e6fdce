import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { ErrorCode } from "../protocol/errors.ts";
import type { RequestTarget } from "./request-target.ts";
import type { OperatorRole } from "../protocol/operator/operator.ts";

/** What a route handler gets: everything parsed. */
export interface RouteRequest<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  /** Name of the API key, or of the operator, that called; empty for anyone. */
  apiKey: string;
  /** Of an operator. */
  role?: OperatorRole | undefined;
  requestId: string;
  /** Whether the caller used TLS, behind trusted proxies as they report. */
  isSecure: boolean;
  /** From the `Idempotency-Key` header or the body's `idempotencyKey`; if both were sent they are equal. */
  idempotencyKey: string | undefined;
  /** Where the call came from; a label of metrics. */
  door: "http" | "app";
  /** Address of the caller; behind trusted proxies the one that they report. */
  address: string;
}

/** Names the operator of a request and its role; throws `unauthorized`, `forbidden` or `rate_limited`. */
export type AuthenticateOperator = (
  request: IncomingMessage,
  address: string,
) => Promise<{ name: string; role: OperatorRole }>;

export interface RouteAnswer {
  /** @default the route's `status` */
  status?: number;
  headers?: Record<string, string>;
  body: unknown;
  /** On how many connections or subscriptions the call acted, if no number of the body tells. */
  acted?: number;
}

/** Filled in while a request is handled; logged and counted when it ends. Here, because the types of the package have no Express. */
export interface RequestRecord {
  /** Template of the path, never the path itself: it comes from a closed set. */
  route: string;
  /** Name of the API key. */
  caller?: string;
  /** Of an operator. */
  role?: OperatorRole;
  code?: ErrorCode;
  /** From `X-Request-Id` if the caller sent a valid one. In the response, log lines and recorded reasons. */
  requestId: string;
  /** It was answered with a stream, which ends when its client leaves, and says nothing about latency. */
  isStream?: boolean;
}

/** A request that its route answers by itself. */
export interface ServedRequest {
  request: IncomingMessage;
  response: ServerResponse;
  target: RequestTarget;
  record: RequestRecord;
  /** The parameters of the path, decoded; throws `bad_request`. */
  params: () => Record<string, string>;
}

/**
 * One call of the backend API as data: the HTTP server mounts it and the OpenAPI page describes it from the same
 * schemas. The handler returns an answer or throws a GatewayError.
 */
export interface Route {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** Path with parameters in braces: `/v1/channels/{channel}/history`. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  /** What else a caller should know, in Markdown. */
  readonly description?: string;
  /** Status of the ordinary answer. @default 200 */
  readonly status?: number;
  /** Statuses of answers of the same shape, and when they are given: `{ 202: "Held." }`. */
  readonly otherStatuses?: Readonly<Record<number, string>>;
  /** Statuses of answers of another shape. */
  readonly otherAnswers?: Readonly<Record<number, { meaning: string; answer: z.ZodType }>>;
  /** Supports revalidation by `ETag`, with 304. @default false */
  readonly isRevalidated?: boolean;
  /** True for calls as frequent as messages: what they act on is logged for debugging only. @default false */
  readonly isTraffic?: boolean;
  /**
   * True if an idempotency key has no meaning, as for every GET: the call only reads, or its answer must not be kept.
   * @default false
   */
  readonly ignoresKey?: boolean;
  /** True if the handler passes its idempotency key on, to the executor or into a script. @default false */
  readonly performsCommands?: boolean;
  /** Error codes in addition to those of every call. */
  readonly refusals?: readonly ErrorCode[];
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  /** Of a JSON body; a call without one is parsed as undefined. Without a schema it may have an idempotency key. */
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  /** @default "application/json" */
  readonly answerType?: string;
  /**
   * Answers GET and OPTIONS in place of `handle`, for clients as well as backends: it authenticates by itself. Never
   * rejects.
   */
  readonly serve?: (exchange: ServedRequest) => Promise<void>;
  /** Callers: holders of an API key, operators, operators with the role `admin`, or anyone. @default "api key" */
  readonly access?: "api key" | "operator" | "admin" | "open";
  handle(request: RouteRequest<unknown, unknown, unknown>): Promise<RouteAnswer>;
}

/** Whether a retry with the same idempotency key gets the first response. */
export const takesKey = ({ method, ignoresKey = false }: Pick<Route, "method" | "ignoresKey">): boolean =>
  method !== "get" && !ignoresKey;

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;

/** Ties the schemas of a route to its handler's types. */
export function route<
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(
  definition: Omit<Route, "params" | "query" | "body" | "handle"> & { params?: P; query?: Q; body?: B },
  handle: (request: RouteRequest<Output<P>, Output<Q>, Output<B>>) => Promise<RouteAnswer>,
): Route {
  return { ...definition, handle } as Route;
}
