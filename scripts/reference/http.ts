import { detailsBeforeCalls } from "../../src/http/broken-request.ts";
import type { ApiDescription } from "../../src/http/openapi.ts";
import { formTables, shapeSections, typeText, type JsonSchema } from "./schema-text.ts";
import { code, table } from "./table.ts";

/** Settings of the node that is asked for its description: one that has every call. */
export const describedEnvironment = { OPERATORS: "reference:reference-operator-of-at-least-32-bytes:admin" } as const;

interface Parameter {
  in: string;
  name: string;
  required?: boolean;
  description?: string;
  schema: JsonSchema;
}

interface Response {
  $ref?: string;
  description?: string;
  content?: Record<string, { schema: JsonSchema }>;
}

interface Call {
  operationId: string;
  tags: readonly string[];
  summary: string;
  description?: string;
  parameters?: readonly Parameter[];
  requestBody?: { content: Record<string, { schema: JsonSchema }> };
  responses: Record<string, Response>;
}

interface NamedCall extends Call {
  title: string;
}

const problemType = "application/problem+json";

const shapesOf = (api: ApiDescription): Record<string, JsonSchema> =>
  (api.components?.schemas ?? {}) as Record<string, JsonSchema>;

function callsOf(api: ApiDescription): NamedCall[] {
  return Object.entries(api.paths ?? {}).flatMap(([path, calls]) =>
    Object.entries(calls as Record<string, Call>).map(([method, call]) => ({
      ...call,
      title: `${method.toUpperCase()} ${path}`,
    })),
  );
}

/** Every call by its tag, with its parameters, body and answers. */
export function httpCalls(api: ApiDescription): string {
  const groups = Map.groupBy(callsOf(api), ({ tags }) => tags[0] ?? "");
  return [...groups]
    .map(([tag, calls]) => [`## ${tag}`, ...calls.map((call) => sectionOf(call, api))].join("\n\n"))
    .join("\n\n");
}

function sectionOf(call: NamedCall, api: ApiDescription): string {
  const body = call.requestBody?.content["application/json"]?.schema;
  const parameters = (call.parameters ?? []).filter(({ name }) => !headersOfMany.has(name));
  const resolve = (ref: string): JsonSchema => shapesOf(api)[ref.slice(ref.lastIndexOf("/") + 1)] ?? {};
  return [
    `### ${call.title}`,
    `${call.summary} ${namesOf(call)}`,
    ...(call.description === undefined ? [] : [call.description]),
    ...(parameters.length === 0 ? [] : [table(["parameter", "in", "type", "meaning"], parameters.map(parameterRow))]),
    ...(body === undefined ? [] : ["**Body**", formTables(body, resolve)]),
    answersOf(call),
  ].join("\n\n");
}

/** Explained once for all calls. */
const headersOfMany: ReadonlySet<string> = new Set(["Idempotency-Key", "If-None-Match"]);

function namesOf({ operationId, parameters = [] }: NamedCall): string {
  const headers = parameters.filter(({ name }) => headersOfMany.has(name)).map(({ name }) => code(name));
  return `(${[code(operationId), ...headers.map((header) => `takes ${header}`)].join(", ")})`;
}

function answersOf({ responses }: NamedCall): string {
  const own = Object.entries(responses).filter(([status]) => !(status in detailsBeforeCalls));
  const all = own.map(([status, answer]) => ({ status, text: answerText(answer) }));
  const isError = ({ status }: { status: string }): boolean => Number(status) >= 400;
  const good = all.filter((answer) => !isError(answer)).map(({ status, text }) => `${status} ${text}`);
  const errors = all.filter(isError).map(({ text }) => text);
  return [`**Answers** ${good.join("; ")}`, ...(errors.length === 0 ? [] : [`**Errors** ${errors.join(", ")}`])].join(
    "\n\n",
  );
}

const parameterRow = ({ in: place, name, required = false, description = "", schema }: Parameter): string[] => [
  code(name) + (required ? "" : " (optional)"),
  place,
  typeText(schema),
  description,
];

function answerText({ $ref, description = "", content = {} }: Response): string {
  if ($ref !== undefined) return code($ref.slice($ref.lastIndexOf("/") + 1));
  const codes = [...description.matchAll(/`(\w+)`: /g)].map(([, name = ""]) => code(name));
  if (problemType in content) return codes.join(", ");
  const [answer] = Object.entries(content);
  if (answer === undefined) return description;
  const [type, { schema }] = answer;
  const words = type === "application/json" ? typeText(schema) : code(type);
  return description === "Done." ? words : `${words}: ${description}`;
}

/** The shapes that calls name, by name. */
export const httpShapes = (api: ApiDescription): string => shapeSections(shapesOf(api));
