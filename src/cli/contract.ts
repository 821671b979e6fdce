import { readFileSync } from "node:fs";
import { z } from "zod";
import { fieldPath } from "../protocol/field-path.ts";
import { contractSchemas, type ContractSchemas, type JsonSchema } from "../protocol/contract-schemas.ts";
import { parseContract } from "../protocol/contract.ts";
import { importDefault } from "./import-default.ts";
import { changesForReaders, changesForSenders, reasonOfUnknown, type SchemaChange } from "./schema-changes.ts";

const jsonSchema = z.record(z.string(), z.unknown());

/** A file that `contract print` wrote. */
const contractFile = z.strictObject({
  events: z.record(z.string(), z.strictObject({ input: jsonSchema, answer: jsonSchema.optional() })),
  channels: z.record(z.string(), z.record(z.string(), z.strictObject({ input: jsonSchema, output: jsonSchema }))),
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
  for (const [name, event] of Object.entries(old.events)) {
    const place = fieldPath(["events", name]);
    const other = now.events[name];
    if (other === undefined) comparison.breaking.push(`${place}: was removed`);
    else compareEvents(comparison, place, event, other);
  }
  for (const [kind, events] of Object.entries(old.channels)) {
    const place = fieldPath(["channels", kind]);
    const others = now.channels[kind];
    if (others === undefined) comparison.breaking.push(`${place}: was removed`);
    else compareKinds(comparison, place, events, others);
  }
  return comparison;
}

type EventSchemas = ContractSchemas["events"][string];
type KindSchemas = ContractSchemas["channels"][string];

function compareEvents(comparison: ContractComparison, place: string, old: EventSchemas, now: EventSchemas): void {
  addChanges(comparison, place, changesForSenders, [old.input, now.input]);
  if (old.answer === undefined) return;
  const at = `${place}.answer`;
  if (now.answer === undefined) comparison.breaking.push(`${at}: was removed`);
  else addChanges(comparison, at, changesForReaders, [old.answer, now.answer]);
}

/** Publications are sent by old backends and clients, and read by old clients. */
function compareKinds(comparison: ContractComparison, place: string, old: KindSchemas, now: KindSchemas): void {
  for (const [name, event] of Object.entries(old)) {
    const at = fieldPath([name], place);
    const other = now[name];
    if (other === undefined) comparison.breaking.push(`${at}: was removed`);
    else {
      addChanges(comparison, at, changesForSenders, [event.input, other.input]);
      addChanges(comparison, at, changesForReaders, [event.output, other.output]);
    }
  }
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
