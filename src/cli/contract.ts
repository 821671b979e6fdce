import { readFileSync } from "node:fs";
import { z } from "zod";
import { fieldPath } from "../protocol/field-path.ts";
import {
  contractSchemas,
  type ContractSchemas,
  type DataSchemas,
  type EventsSchemas,
  type JsonSchema,
} from "../protocol/contract/contract-schemas.ts";
import { parseContract } from "../protocol/contract/contract.ts";
import { importDefault } from "./import-default.ts";
import { changesForReaders, changesForSenders, reasonOfUnknown, type SchemaChange } from "./schema-changes.ts";

const jsonSchema = z.record(z.string(), z.unknown());

const eventsSchemas = z.record(z.string(), z.strictObject({ input: jsonSchema, answer: jsonSchema.optional() }));
const dataSchemas = z.record(z.string(), z.strictObject({ input: jsonSchema, output: jsonSchema }));
const none = z.prefault(dataSchemas, {});

/** A file that `contract print` wrote, also before contracts had more than events and channels. */
const contractFile = z.strictObject({
  events: eventsSchemas,
  channels: z.record(z.string(), dataSchemas),
  state: z.record(z.string(), dataSchemas).prefault({}),
  orders: z.strictObject({ data: none, events: none, signals: none }).prefault({}),
  leaderboards: none,
  namespaces: z.record(z.string(), eventsSchemas).prefault({}),
});

/** Reads a module with a contract as its default export, or JSON that `contract print` made. Throws if it is neither. */
export async function loadContract(file: string): Promise<ContractSchemas> {
  try {
    if (!file.endsWith(".json")) return contractSchemas(parseContract(await importDefault(file)));
    return contractFile.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${file} is not a contract: ${reason}`, { cause: error });
  }
}

export interface ContractComparison {
  /** What clients, backends or apps of the old contract would notice, one line each. */
  breaking: string[];
  /** What could not be compared. */
  unknown: string[];
}

export function compareContracts(old: ContractSchemas, now: ContractSchemas): ContractComparison {
  const comparison: ContractComparison = { breaking: [], unknown: [] };
  compareEach(comparison, "events", [old.events, now.events], compareEvents);
  compareEach(comparison, "channels", [old.channels, now.channels], compareKinds);
  compareEach(comparison, "state", [old.state, now.state], compareKinds);
  compareEach(comparison, "orders", [old.orders.data, now.orders.data], compareData);
  compareEach(comparison, "orders.events", [old.orders.events, now.orders.events], compareData);
  compareEach(comparison, "orders.signals", [old.orders.signals, now.orders.signals], compareData);
  compareEach(comparison, "leaderboards", [old.leaderboards, now.leaderboards], compareData);
  compareEach(comparison, "namespaces", [old.namespaces, now.namespaces], (all, place, ...pair) =>
    compareEach(all, place, pair, compareEvents),
  );
  return comparison;
}

type ComparePart<T> = (comparison: ContractComparison, place: string, old: T, now: T) => void;

/** What is new is no breaking change. */
function compareEach<T>(
  comparison: ContractComparison,
  place: string,
  [old, now]: readonly [Readonly<Record<string, T>>, Readonly<Record<string, T>>],
  compare: ComparePart<T>,
): void {
  for (const [name, one] of Object.entries(old)) {
    const at = fieldPath([name], place);
    const other = Object.hasOwn(now, name) ? now[name] : undefined;
    if (other === undefined) comparison.breaking.push(`${at}: was removed`);
    else compare(comparison, at, one, other);
  }
}

function compareEvents(
  comparison: ContractComparison,
  place: string,
  old: EventsSchemas[string],
  now: EventsSchemas[string],
): void {
  addChanges(comparison, place, changesForSenders, [old.input, now.input]);
  if (old.answer === undefined) return;
  const at = `${place}.answer`;
  if (now.answer === undefined) comparison.breaking.push(`${at}: was removed`);
  else addChanges(comparison, at, changesForReaders, [old.answer, now.answer]);
}

const compareKinds: ComparePart<DataSchemas> = (comparison, place, ...pair) =>
  compareEach(comparison, place, pair, compareData);

/** Data is sent by old backends and clients, and read by old clients. */
function compareData(
  comparison: ContractComparison,
  place: string,
  old: DataSchemas[string],
  now: DataSchemas[string],
): void {
  addChanges(comparison, place, changesForSenders, [old.input, now.input]);
  addChanges(comparison, place, changesForReaders, [old.output, now.output]);
}

function addChanges(
  { breaking, unknown }: ContractComparison,
  place: string,
  compare: (old: JsonSchema, now: JsonSchema) => SchemaChange[],
  [old, now]: readonly [JsonSchema, JsonSchema],
): void {
  const reason = reasonOfUnknown(old, now);
  if (reason !== undefined) return void unknown.push(`${place}: cannot be compared (${reason})`);
  for (const { path, message } of compare(old, now)) {
    const line = `${place}${path === "" || path.startsWith("[") ? path : `.${path}`}: ${message}`;
    if (!breaking.includes(line)) breaking.push(line);
  }
}
