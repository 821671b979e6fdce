import type { JsonSchema } from "../protocol/contract/contract-schemas.ts";

/** A part of a JSON Schema, and the document in which its references are resolved. */
export interface SchemaPart {
  readonly schema: JsonSchema;
  readonly root: JsonSchema;
}

export const allTypes: readonly string[] = ["array", "boolean", "null", "number", "object", "string"];

/** Max references from one part to the next. */
const maxReferences = 100;

const isObject = (value: unknown): value is JsonSchema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Without references and `allOf`. A boolean schema is one without rules. */
export function resolved(part: SchemaPart, depth = 0): SchemaPart {
  const { root } = part;
  const { $ref, allOf, ...rest } = part.schema;
  if (depth > maxReferences || ($ref === undefined && allOf === undefined)) return part;
  const parts = [...(typeof $ref === "string" ? [at(root, $ref)] : []), ...(Array.isArray(allOf) ? allOf : [])];
  const schemas = parts.filter(isObject).map((schema) => resolved({ schema, root }, depth + 1).schema);
  return { schema: [...schemas, rest].reduce(merge, {}), root };
}

/** Follows a JSON pointer. */
function at(root: JsonSchema, ref: string): unknown {
  const steps = ref.split("/").slice(1);
  return steps.reduce<unknown>((place, step) => {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    return isObject(place) || Array.isArray(place) ? (place as JsonSchema)[name] : undefined;
  }, root);
}

function merge(one: JsonSchema, other: JsonSchema): JsonSchema {
  const required = [...listOf(one["required"]), ...listOf(other["required"])];
  return {
    ...one,
    ...other,
    ...(required.length > 0 && { required }),
    ...(("properties" in one || "properties" in other) && {
      properties: { ...Object(one["properties"]), ...Object(other["properties"]) },
    }),
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The forms of which a value has one; undefined if there is only one form. */
export function optionsOf({ schema, root }: SchemaPart): SchemaPart[] | undefined {
  const { anyOf, oneOf, ...rest } = schema;
  const options = listOf(anyOf ?? oneOf).filter(isObject);
  if (options.length === 0) return undefined;
  const isAlone = Object.keys(rest).every((name) => ["description", "title", "default", "examples"].includes(name));
  return options.map((option) => ({ schema: isAlone ? option : merge(rest, option), root }));
}

/** Values if there are only a few. */
export function valuesOf({ const: only, enum: few, ...rest }: JsonSchema): unknown[] | undefined {
  if (only !== undefined) return [only];
  if (Array.isArray(few)) return few;
  return rest["type"] === "null" ? [null] : undefined;
}

export function typesOf(schema: JsonSchema): readonly string[] {
  const { type } = schema;
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) return type as string[];
  const values = valuesOf(schema);
  return values === undefined ? allTypes : [...new Set(values.map(typeOf))];
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

/** What a schema says about objects. */
export interface ObjectFields {
  readonly fields: Readonly<Record<string, SchemaPart>>;
  readonly required: ReadonlySet<string>;
  /** Of fields that are not named; undefined if nothing is said about them. */
  readonly others: SchemaPart | undefined;
  /** Has no fields that are not named. */
  readonly isClosed: boolean;
  readonly isObject: boolean;
}

export function fieldsOf({ schema, root }: SchemaPart): ObjectFields {
  const { properties, required, additionalProperties: others } = schema;
  const named = Object.entries(Object(properties) as Record<string, unknown>);
  return {
    fields: Object.fromEntries(named.map(([name, field]) => [name, { schema: isObject(field) ? field : {}, root }])),
    required: new Set(listOf(required) as string[]),
    others: isObject(others) ? { schema: others, root } : undefined,
    isClosed: others === false,
    isObject: typesOf(schema).includes("object"),
  };
}

/** What a schema says about arrays: the first items one by one, then the rest. */
export interface ArrayItems {
  readonly first: readonly SchemaPart[];
  readonly rest: SchemaPart | undefined;
}

export function itemsOf({ schema, root }: SchemaPart): ArrayItems {
  const { items, prefixItems, additionalItems } = schema;
  const first = listOf(prefixItems ?? items).filter(isObject);
  const rest = Array.isArray(items) ? additionalItems : items;
  return {
    first: first.map((item) => ({ schema: item, root })),
    rest: isObject(rest) ? { schema: rest, root } : undefined,
  };
}
