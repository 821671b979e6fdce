import { code, table } from "./table.ts";

/** A part of a JSON Schema. */
export interface JsonSchema {
  $ref?: string;
  description?: string;
  const?: unknown;
  default?: unknown;
  enum?: readonly unknown[];
  anyOf?: readonly JsonSchema[];
  oneOf?: readonly JsonSchema[];
  allOf?: readonly JsonSchema[];
  type?: string | readonly string[];
  items?: JsonSchema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  pattern?: string;
  properties?: Record<string, JsonSchema>;
  required?: readonly string[];
  additionalProperties?: JsonSchema | boolean;
}

/** Names of shapes that the page describes. */
const nameOf = (ref: string): string => ref.slice(ref.lastIndexOf("/") + 1);

const linkTo = (name: string): string => `[${name}](#${name.toLowerCase()}-shape)`;

/** With a word, because an event may have the name of a shape. */
const headingOf = (name: string): string => `### ${name} (shape)`;

/** What a value may be, in words, with its range. */
export function typeText(schema: JsonSchema): string {
  if (schema.$ref !== undefined) return linkTo(nameOf(schema.$ref));
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((value) => code(JSON.stringify(value))).join(", ");
  const options = schema.anyOf ?? schema.oneOf;
  if (isOneOrMany(options)) return `${typeText(options[0])}, or a list of ${rangeOf(options[1])} of these`;
  if (options !== undefined) return [...new Set(options.map(typeText))].join(" or ");
  if (Array.isArray(schema.type)) return schema.type.join(" or ");
  return (byType[String(schema.type)] ?? (() => "any JSON"))(schema);
}

/** Whether it may be a value or a list of such values. */
function isOneOrMany(options: readonly JsonSchema[] | undefined): options is readonly [JsonSchema, JsonSchema] {
  const [one, many, ...others] = options ?? [];
  return others.length === 0 && many?.items !== undefined && JSON.stringify(many.items) === JSON.stringify(one);
}

const rangeOf = ({ minItems = 0, maxItems = Infinity }: JsonSchema): string => range(minItems, maxItems);

const byType: Readonly<Record<string, (schema: JsonSchema) => string>> = {
  boolean: () => "boolean",
  null: () => code("null"),
  string: ({ minLength, maxLength, pattern }) =>
    maxLength === undefined
      ? pattern === undefined
        ? "string"
        : `string ${code(pattern)}`
      : `string, ${range(minLength ?? 0, maxLength)} characters`,
  integer: (schema) => withRange("integer", schema),
  number: (schema) => withRange("number", schema),
  array: ({ items = {}, minItems = 0, maxItems }) =>
    maxItems === undefined ? `list of ${typeText(items)}` : `list of ${range(minItems, maxItems)}: ${typeText(items)}`,
  object: (schema) => objectText(schema),
};

function withRange(name: string, { minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  const isBounded = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (exclusiveMinimum !== undefined)
    return `${name} above ${exclusiveMinimum}${isBounded ? `, at most ${maximum}` : ""}`;
  if (isBounded) return minimum === undefined ? `${name}, at most ${maximum}` : `${name}, ${range(minimum, maximum)}`;
  const isSafeMinimum = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  return isSafeMinimum ? `${name}, at least ${minimum}` : name;
}

const range = (from: number, to: number): string => (from === to ? String(to) : `${from} to ${to}`);

function objectText(schema: JsonSchema): string {
  if (schema.properties !== undefined) return code(shapeText(schema));
  const { additionalProperties: values } = schema;
  return typeof values === "object" && Object.keys(values).length > 0 ? `object of ${typeText(values)}` : "object";
}

/** The names in an object: `{ channel, since?: { epoch, offset } }`. */
export function shapeText(schema: JsonSchema): string {
  const { properties = {}, required = [] } = schema;
  const fields = Object.entries(properties).map(([name, value]) => {
    const key = required.includes(name) ? name : `${name}?`;
    const inner = innerShape(value);
    return inner === undefined ? key : `${key}: ${inner}`;
  });
  return fields.length === 0 ? "{}" : `{ ${fields.join(", ")} }`;
}

function innerShape(schema: JsonSchema): string | undefined {
  if (schema.properties !== undefined) return shapeText(schema);
  return schema.items?.properties === undefined ? undefined : `[${shapeText(schema.items)}]`;
}

/** A table of an object's fields. */
export function fieldTable(schema: JsonSchema): string {
  const { properties = {}, required = [] } = schema;
  const rows = Object.entries(properties).map(([name, field]) => [
    code(name) + (required.includes(name) ? "" : " (optional)"),
    typeText(field),
    field.description ?? "",
  ]);
  return rows.length === 0 ? "An empty object." : table(["field", "type", "meaning"], rows);
}

/** One table for each form that a value may have; a form that is only named is linked to, unless it can be resolved. */
export function formTables(schema: JsonSchema, resolve?: (ref: string) => JsonSchema): string {
  const whole = schema.$ref === undefined ? schema : (resolve?.(schema.$ref) ?? schema);
  const forms = whole.anyOf ?? whole.oneOf;
  if (forms !== undefined) return forms.map((form) => formTables(form, resolve)).join("\n\nor\n\n");
  return whole.properties === undefined ? `${typeText(whole)}.` : fieldTable(whole);
}

/** A section for each shape, by name. */
export const shapeSections = (shapes: Readonly<Record<string, JsonSchema>>): string =>
  Object.entries(shapes)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([name, schema]) => [headingOf(name), formTables(schema)])
    .join("\n\n");
