import { z } from "zod";
import { schemasOf, type Contract, type SchemasByName } from "./contract.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** A schema as JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A contract as JSON Schema: what `tidegate contract print` writes. */
export interface ContractSchemas {
  readonly events: EventsSchemas;
  /** By kind and event: what publishers send, and what subscribers receive. */
  readonly channels: Readonly<Record<string, DataSchemas>>;
  /** By kind and key. */
  readonly state: Readonly<Record<string, DataSchemas>>;
  /** The order's own `data` is named `data`. */
  readonly orders: Readonly<Record<"data" | "events" | "signals", DataSchemas>>;
  /** By board. */
  readonly leaderboards: DataSchemas;
  readonly namespaces: Readonly<Record<string, EventsSchemas>>;
}

export type EventsSchemas = Readonly<
  Record<string, { readonly input: JsonSchema; readonly answer?: JsonSchema | undefined }>
>;

/** By name: what is sent, and what is received. */
export type DataSchemas = Readonly<Record<string, { readonly input: JsonSchema; readonly output: JsonSchema }>>;

type JsonSchemaDialect = "draft-07" | "draft-2020-12";
type Side = "input" | "output";

/** The Standard JSON Schema extension of Standard Schema. */
interface JsonSchemaConverter {
  readonly jsonSchema?: Readonly<Record<Side, (options: { target: JsonSchemaDialect }) => Record<string, unknown>>>;
}

/** Marks a schema whose library has no JSON Schema for it, with the reason. */
export const unknownMark = "x-unknown";

export function contractSchemas(
  { events, channels, state = {}, orders = {}, leaderboards = {}, namespaces = {} }: Contract,
  target: JsonSchemaDialect = "draft-2020-12",
): ContractSchemas {
  const schema = (given: StandardSchema, side: Side) => jsonSchemaOf(given, side, target);
  const eventsOf = (some: Contract["events"]): EventsSchemas =>
    mapValues(some, (event) => {
      const { input, answer } = schemasOf(event);
      return { input: schema(input, "input"), ...(answer && { answer: schema(answer, "output") }) };
    });
  const dataOf = (some: SchemasByName): DataSchemas =>
    mapValues(some, (data) => ({ input: schema(data, "input"), output: schema(data, "output") }));
  const { data, events: statuses = {}, signals = {} } = orders;
  return {
    events: eventsOf(events),
    channels: mapValues(channels, dataOf),
    state: mapValues(state, dataOf),
    orders: { data: dataOf(data === undefined ? {} : { data }), events: dataOf(statuses), signals: dataOf(signals) },
    leaderboards: dataOf(leaderboards),
    namespaces: mapValues(namespaces, eventsOf),
  };
}

/** A schema without JSON Schema accepts anything, and says so. */
function jsonSchemaOf(schema: StandardSchema, side: Side, target: JsonSchemaDialect): JsonSchema {
  const { vendor } = schema["~standard"];
  try {
    const { $schema: _dialect, ...json } = convert(schema, side, target);
    return json;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { description: `Not described: ${vendor} has no JSON Schema for it.`, [unknownMark]: reason };
  }
}

function convert(schema: StandardSchema, side: Side, target: JsonSchemaDialect): Record<string, unknown> {
  const { jsonSchema, vendor } = schema["~standard"] as StandardSchema["~standard"] & JsonSchemaConverter;
  if (jsonSchema !== undefined) return jsonSchema[side]({ target });
  // Zod Mini, and Zod before 4.2.
  if (isZod(schema)) return { ...z.toJSONSchema(schema, { io: side, target }) };
  throw new Error(`${vendor} does not implement Standard JSON Schema`);
}

const isZod = (schema: object): schema is z.core.$ZodType => "_zod" in schema;

const mapValues = <V, W>(record: Readonly<Record<string, V>>, map: (value: V) => W): Record<string, W> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
