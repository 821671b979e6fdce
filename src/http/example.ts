/** A part of a JSON Schema as the description holds it. */
export interface Schema {
  $ref?: string;
  examples?: readonly unknown[];
  const?: unknown;
  default?: unknown;
  enum?: readonly unknown[];
  oneOf?: readonly Schema[];
  anyOf?: readonly Schema[];
  /** Of one: a reference with words of its own. */
  allOf?: readonly Schema[];
  type?: string | readonly string[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: Schema | boolean;
  minimum?: number;
}

/** Resolves a `$ref`. */
export type Resolve = (ref: string) => Schema | undefined;

/** A value that fits a schema: the examples in it, and for the rest the least that is legal. */
export function exampleOf(schema: Schema, resolve: Resolve): unknown {
  if (schema.$ref !== undefined) return exampleOf(resolve(schema.$ref) ?? {}, resolve);
  const [said = schema.const ?? schema.default ?? schema.enum?.[0]] = schema.examples ?? [];
  if (said !== undefined) return said;
  const option = (schema.oneOf ?? schema.anyOf ?? schema.allOf)?.[0];
  if (option !== undefined) return exampleOf(option, resolve);
  if (schema.type === "array") return [exampleOf(schema.items ?? {}, resolve)];
  if (schema.type === "object") return exampleObject(schema, resolve);
  if (schema.type === "integer" || schema.type === "number") return Math.max(schema.minimum ?? 1, 1);
  if (schema.type === "null") return null;
  return schema.type === "boolean" ? true : "text";
}

function exampleObject({ properties = {}, required = [] }: Schema, resolve: Resolve): object {
  const named = required.filter((name) => name in properties);
  return Object.fromEntries(named.map((name) => [name, exampleOf(properties[name] ?? {}, resolve)]));
}
