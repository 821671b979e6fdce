import { z } from "zod";
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiResponseObject } from "zod-openapi";
import { errorCatalogue, GatewayError, type ErrorCode } from "../protocol/errors.ts";
import { scoreItem } from "../protocol/leaderboards.ts";
import { problem, problemOf, problemType, type Problem } from "../protocol/problems.ts";
import { publishBody } from "../protocol/publications.ts";
import { idempotencyKey } from "../protocol/scalars.ts";
import { detailsBeforeCalls, refusalBeforeCalls } from "./broken-request.ts";
import { takesKey, type Route } from "./route.ts";
import { exampleOf, type Resolve, type Schema } from "./example.ts";

export type ApiDescription = ReturnType<typeof createDocument>;

/** OpenAPI 3.1 of every call, made from the schemas that parse the calls, with an example of every body. */
export function describeApi(routes: readonly Route[], version: string): ApiDescription {
  const api = createDocument({
    openapi: "3.1.1",
    info: { title: "Tidegate", version, description: about },
    servers: [{ url: "/" }],
    security: [{ apiKey: [] }],
    tags: [...new Set([...routes.map((route) => route.tag), "Operators"])].map((name) => ({ name })),
    paths: { ...pathsOf(routes), ...operatorPaths },
    components: {
      securitySchemes: {
        apiKey: { type: "http", scheme: "bearer", description: "One of the keys in the gateway's `API_KEYS`." },
        clientToken: { type: "http", scheme: "bearer", description: "The token of a client." },
        ...(routes.some(({ access }) => access === "operator") ? operatorSchemes : {}),
      },
      responses: { ...Object.fromEntries(codes.map((code) => [code, refusalWith([code])])), ...responsesBeforeCalls },
      schemas: itemsOfBatches,
    },
  });
  const resolve = (ref: string): Schema | undefined =>
    api.components?.schemas?.[ref.replace("#/components/schemas/", "")] as Schema | undefined;
  addExamples(api, resolve);
  describeParameters(api);
  return api;
}

interface DescribedCall {
  parameters?: { description?: string; schema: { description?: string } }[];
}

/** Optional parameters have their description in the schema only. */
function describeParameters({ paths = {} }: ApiDescription): void {
  for (const { parameters = [] } of Object.values(paths).flatMap((path) => Object.values(path) as DescribedCall[]))
    for (const parameter of parameters) parameter.description ??= parameter.schema.description ?? "";
}

/** Batches name them by reference alone, because their items are parsed one by one. */
const itemsOfBatches = { Publish: publishBody, Score: scoreItem };

const typesOfBodies = ["application/json", "text/event-stream"];

/** Wherever a body is described; refusals of one code have that code in their example. */
function addExamples(part: unknown, resolve: Resolve): void {
  if (typeof part !== "object" || part === null) return;
  for (const [name, value] of Object.entries(part)) {
    if (name === problemType || typesOfBodies.includes(name)) value.example ??= exampleOf(value.schema, resolve);
    else if (name !== "schemas") addExamples(value, resolve);
  }
}

const about = [
  "The backend API of the gateway. Requests and responses are JSON; times are epoch milliseconds.",
  "Every response has an `X-Request-Id`: the one of the request if it is valid, else a new one; log lines contain it too.",
  "Every response has `RateLimit` and `RateLimit-Policy` headers; `429` and `503` have `Retry-After`.",
  "Only requests that do not reach a call get none of these: 400 if they are not well-formed, 408, 417 and 431.",
  "With an `Idempotency-Key` header, or `idempotencyKey` in the body, a retried write returns the first response. Calls without that header ignore it.",
].join("\n");

const codes = Object.keys(errorCatalogue) as ErrorCode[];

/** Errors of every call, and additional errors of calls with a body. */
const refusalsOfAll: readonly ErrorCode[] = [
  "bad_request",
  "unauthorized",
  "rate_limited",
  "internal",
  "unavailable",
  "writes_refused",
];
const refusalsOfBodies: readonly ErrorCode[] = ["payload_too_large", "unsupported_media_type"];
/** Of an idempotency key that was used for something else. */
const refusalsOfWrites: readonly ErrorCode[] = ["conflict"];

type Operations = Record<string, Partial<Record<Route["method"], ZodOpenApiOperationObject>>>;

function pathsOf(routes: readonly Route[]): Operations {
  const paths: Operations = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) };
  return paths;
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  const { operationId, tag, summary, description, body } = route;
  const answer = (meaning: string): ZodOpenApiResponseObject => ({
    description: meaning,
    ...(route.isRevalidated === true ? { headers: entityTag } : {}),
    content: { [route.answerType ?? "application/json"]: { schema: route.answer } },
  });
  const others = Object.entries(route.otherStatuses ?? {}).map(([status, meaning]) => [status, answer(meaning)]);
  const otherAnswers = Object.entries(route.otherAnswers ?? {}).map(([status, { meaning, answer: schema }]) => [
    status,
    { description: meaning, content: { "application/json": { schema } } },
  ]);
  return {
    operationId,
    tags: [tag],
    summary,
    ...securityOf(route),
    ...(description === undefined ? {} : { description }),
    requestParams: parametersOf(route),
    ...(route.serve === undefined ? {} : { security: [{ apiKey: [] }, { clientToken: [] }, {}] }),
    ...(body === undefined ? {} : { requestBody: bodyOf(body) }),
    responses: {
      [`${route.status ?? 200}`]: answer("Done."),
      ...Object.fromEntries([...others, ...otherAnswers]),
      ...(route.isRevalidated === true ? { "304": { description: "Not modified." } } : {}),
      ...refusalsOf(route),
      ...refusalsBeforeCalls,
    },
  };
}

const operatorSchemes = {
  operator: { type: "http", scheme: "bearer", description: "A secret in the gateway's `OPERATORS`." },
  operatorCookie: { type: "apiKey", in: "cookie", name: "tidegate_operator", description: "Set by signing in." },
} as const;

function securityOf({ access = "api key" }: Route): Pick<ZodOpenApiOperationObject, "security"> {
  if (access === "api key") return {};
  return { security: access === "open" ? [] : [{ operator: [] }, { operatorCookie: [] }] };
}

const writeHeader = z.object({
  "Idempotency-Key": idempotencyKey.optional().meta({ description: "Makes retries of this call safe." }),
});

const entityTag = {
  ETag: { schema: { type: "string" as const }, description: "Identifies this version of the response." },
};

const readHeader = z.object({
  "If-None-Match": z.string().optional().meta({ description: "An `ETag`; if it still matches, the response is 304." }),
});

function headerOf(route: Route): { header?: z.ZodObject } {
  if (takesKey(route)) return { header: writeHeader };
  return route.isRevalidated === true ? { header: readHeader } : {};
}

function parametersOf(route: Route): NonNullable<ZodOpenApiOperationObject["requestParams"]> {
  const { params, query } = route;
  return {
    ...(params === undefined ? {} : { path: params }),
    ...(query === undefined ? {} : { query }),
    ...headerOf(route),
  };
}

function bodyOf(schema: z.ZodType): NonNullable<ZodOpenApiOperationObject["requestBody"]> {
  return { required: !schema.safeParse(undefined).success, content: { "application/json": { schema } } };
}

type Responses = ZodOpenApiOperationObject["responses"];

/** One response per status; if several codes share a status, its description lists all of them. */
function refusalsOf(route: Route): Responses {
  const { body, refusals = [] } = route;
  const ofBody = body === undefined ? [] : refusalsOfBodies;
  const ofWrite = takesKey(route) ? refusalsOfWrites : [];
  const all = new Set([...refusalsOfAll, ...ofBody, ...ofWrite, ...refusals]);
  const byStatus = Map.groupBy(all, (code) => `${errorCatalogue[code].status}`);
  return Object.fromEntries([...byStatus].map(([status, shared]) => [status, responseFor(shared)]));
}

function responseFor(shared: ErrorCode[]): ZodOpenApiResponseObject | { $ref: string } {
  const [code, ...others] = shared;
  return others.length === 0 ? { $ref: `#/components/responses/${code}` } : refusalWith(shared);
}

function refusalWith(shared: readonly ErrorCode[]): ZodOpenApiResponseObject {
  const retries = shared.some((code) => [429, 503].includes(errorCatalogue[code].status));
  return {
    description: shared.map((code) => `\`${code}\`: ${errorCatalogue[code].message}`).join(" "),
    ...(retries ? { headers: { "Retry-After": { schema: { type: "integer" }, description: "Seconds." } } } : {}),
    content: { [problemType]: { schema: problem, example: exampleProblem(shared) } },
  };
}

function exampleProblem([code = "internal"]: readonly ErrorCode[]): Problem {
  return problemOf(new GatewayError(code, undefined, code === "rate_limited" ? { retryAfterMs: 400 } : {}));
}

const statusesBeforeCalls = Object.keys(detailsBeforeCalls).map(Number) as (keyof typeof detailsBeforeCalls)[];

const nameBeforeCalls = (status: number): string => `bad_request_${status}`;

/** Of each call; a request that is no well-formed HTTP is answered with 400 in the same way. */
const refusalsBeforeCalls: Responses = Object.fromEntries(
  statusesBeforeCalls.map((status) => [`${status}`, { $ref: `#/components/responses/${nameBeforeCalls(status)}` }]),
);

const responsesBeforeCalls = Object.fromEntries(
  statusesBeforeCalls.map((status) => {
    const example = problemOf(refusalBeforeCalls(status), status);
    const content = { [problemType]: { schema: problem, example } };
    return [nameBeforeCalls(status), { description: `\`bad_request\`: ${detailsBeforeCalls[status]}`, content }];
  }),
);

const health = z
  .strictObject({ status: z.literal("ok").meta({ description: "The process answers." }) })
  .meta({ id: "Health" });

const readinessReport = z
  .strictObject({
    status: z.enum(["ready", "degraded", "unavailable"]).meta({
      description: "The worst of all checks; `degraded`: the node works, but a promise is weaker than it should be.",
    }),
    checks: z
      .record(
        z.string(),
        z.strictObject({ status: z.enum(["ok", "degraded", "failing"]), note: z.string().optional() }),
      )
      .meta({ description: "By what was checked, with a note for operators if it is not `ok`." }),
  })
  .meta({ id: "Readiness" });

/** For operators and load balancers; without a key. */
const operatorPaths = {
  "/healthz": { get: open("health", "Whether the process is alive.", { "200": jsonOf(health) }) },
  "/readyz": {
    get: open("readiness", "Whether this node should receive traffic.", {
      "200": jsonOf(readinessReport),
      "503": jsonOf(readinessReport),
    }),
  },
};

function open(operationId: string, summary: string, responses: Responses): ZodOpenApiOperationObject {
  return {
    operationId,
    summary,
    tags: ["Operators"],
    security: [],
    responses: { ...responses, ...refusalsBeforeCalls },
  };
}

function jsonOf(schema: z.ZodType): ZodOpenApiResponseObject {
  return { description: "The report.", content: { "application/json": { schema } } };
}
