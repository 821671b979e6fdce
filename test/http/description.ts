import { z } from "zod";

export type Json = Record<string, any>;

/** One operation of an OpenAPI description. */
export interface Call {
  path: string;
  method: string;
  operation: Json;
}

export const callsOf = (api: Json): Call[] =>
  Object.entries<Json>(api["paths"]).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

/** Follows a reference inside the description. */
export const resolved = (api: Json, part: Json): Json =>
  part["$ref"] === undefined
    ? part
    : (part["$ref"] as string)
        .split("/")
        .slice(1)
        .reduce((place, step) => place[step], api);

const parsers = new Map<string, z.ZodType>();

/** Whether a value fits a schema of the description. */
export function fits(api: Json, schema: object, value: unknown): boolean {
  const text = JSON.stringify(schema).replaceAll("#/components/schemas/", "#/$defs/");
  const known = parsers.get(text);
  if (known !== undefined) return known.safeParse(value).success;
  const $defs = JSON.parse(JSON.stringify(api["components"].schemas).replaceAll("#/components/schemas/", "#/$defs/"));
  const parser = z.fromJSONSchema({ ...JSON.parse(text), $defs });
  parsers.set(text, parser);
  return parser.safeParse(value).success;
}

/** Whether an answer's status is described, and its body by that status. */
export function isDescribed(api: Json, { operation }: Call, answer: { status: number; body: any; headers: Headers }) {
  const response = resolved(api, operation["responses"][`${answer.status}`] ?? {});
  const [type = ""] = (answer.headers.get("content-type") ?? "").split(";");
  const schema = response["content"]?.[type]?.schema as object | undefined;
  if (answer.status === 304) return response["description"] !== undefined && answer.body === undefined;
  return schema !== undefined && fits(api, schema, answer.body);
}
