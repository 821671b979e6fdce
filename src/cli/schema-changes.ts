import { isDeepStrictEqual } from "node:util";
import { fieldPath } from "../protocol/field-path.ts";
import { unknownMark, type JsonSchema } from "../protocol/contract/contract-schemas.ts";
import {
  allTypes,
  fieldsOf,
  itemsOf,
  optionsOf,
  resolved,
  typesOf,
  valuesOf,
  type SchemaPart,
} from "./schema-parts.ts";

/** Values that one version of a schema allows and the other does not. */
export interface SchemaChange {
  /** Path of the value: `items[].price`. */
  path: string;
  message: string;
}

/** How a difference is told, by who is affected. */
interface Wording {
  type(name: string): string;
  onlyTypes(names: readonly string[]): string;
  values(values: readonly unknown[]): string;
  onlyValues(values: readonly unknown[]): string;
  missing: string;
  bound(name: string, before: unknown, now: unknown): string;
}

const list = (values: readonly unknown[]): string => values.map((value) => JSON.stringify(value)).join(", ");
const orNone = (value: unknown): string => (value === undefined ? "none" : JSON.stringify(value));

const ofSenders: Wording = {
  type: (name) => `no longer accepts ${name}`,
  onlyTypes: (names) => `now accepts only ${names.join(", ")}`,
  values: (values) => `no longer accepts ${list(values)}`,
  onlyValues: (values) => `now accepts only ${list(values)}`,
  missing: "is now required",
  bound: (name, before, now) => `${name} is now ${orNone(now)}, was ${orNone(before)}`,
};

const ofReaders: Wording = {
  type: (name) => `may now be ${name}`,
  onlyTypes: (names) => `may now be something else than ${names.join(", ")}`,
  values: (values) => `may now be ${list(values)}`,
  onlyValues: (values) => `may now be something else than ${list(values)}`,
  missing: "may now be missing",
  bound: (name, before, now) => `${name} is now ${orNone(before)}, was ${orNone(now)}`,
};

/** Changes that refuse what senders of the old version send. */
export const changesForSenders = (old: JsonSchema, now: JsonSchema): SchemaChange[] =>
  new Comparison(ofSenders, true).compare({ schema: old, root: old }, { schema: now, root: now });

/** Changes that send readers of the old version what they do not expect. They ignore fields that they do not know. */
export const changesForReaders = (old: JsonSchema, now: JsonSchema): SchemaChange[] =>
  new Comparison(ofReaders, false).compare({ schema: now, root: now }, { schema: old, root: old });

/** Reasons why a schema cannot be compared. */
export function reasonOfUnknown(...schemas: readonly JsonSchema[]): string | undefined {
  const reasons = schemas.map(({ [unknownMark]: reason }) => reason);
  return reasons.find((reason) => typeof reason === "string");
}

const lowerBounds = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const upperBounds = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/** Equal or absent: everything else may refuse something. */
const otherRules = ["pattern", "format", "multipleOf", "uniqueItems", "propertyNames", "not", "contentEncoding"];

/** Finds values that `narrow` may refuse although `wide` allows them. */
class Comparison {
  readonly #say: Wording;
  readonly #countsFields: boolean;
  /** Pairs that are being compared: a recursive schema contains itself. */
  readonly #open: [JsonSchema, JsonSchema][] = [];

  /** `countsFields`: a field that is not known is refused if the schema is closed. */
  constructor(say: Wording, countsFields: boolean) {
    this.#say = say;
    this.#countsFields = countsFields;
  }

  compare(wide: SchemaPart, narrow: SchemaPart, path = ""): SchemaChange[] {
    if (this.#open.some(([w, n]) => w === wide.schema && n === narrow.schema)) return [];
    this.#open.push([wide.schema, narrow.schema]);
    const changes = this.#compareResolved(resolved(wide), resolved(narrow), path);
    this.#open.pop();
    return changes;
  }

  #compareResolved(wide: SchemaPart, narrow: SchemaPart, path: string): SchemaChange[] {
    const options = optionsOf(wide);
    if (options !== undefined) return options.flatMap((option) => this.compare(option, narrow, path));
    const choices = optionsOf(narrow);
    if (choices !== undefined) return this.#compareWithChoices(wide, choices, path);
    return this.#compareOne(wide, narrow, path);
  }

  /** The reasons of the choice that is most like it. */
  #compareWithChoices(wide: SchemaPart, choices: readonly SchemaPart[], path: string): SchemaChange[] {
    const results = choices.map((choice) => this.compare(wide, choice, path));
    const ofSameType = results.filter((_, index) => {
      const names = typesOf((choices[index] as SchemaPart).schema);
      return typesOf(wide.schema).every((name) => names.includes(name));
    });
    const [first = []] = (ofSameType.length > 0 ? ofSameType : results).toSorted((a, b) => a.length - b.length);
    return first;
  }

  #compareOne(wide: SchemaPart, narrow: SchemaPart, path: string): SchemaChange[] {
    const messages = this.#typeMessages(wide.schema, narrow.schema);
    if (messages.length > 0) return messages.map((message) => ({ path, message }));
    return [
      ...this.#ruleMessages(wide.schema, narrow.schema).map((message) => ({ path, message })),
      ...this.#compareFields(wide, narrow, path),
      ...this.#compareItems(wide, narrow, path),
    ];
  }

  #typeMessages(wide: JsonSchema, narrow: JsonSchema): string[] {
    const allowed = valuesOf(narrow);
    const values = valuesOf(wide);
    if (values !== undefined && allowed !== undefined) {
      const lost = values.filter((value) => !allowed.some((one) => isDeepStrictEqual(one, value)));
      return lost.length > 0 ? [this.#say.values(lost)] : [];
    }
    const names = typesOf(narrow);
    const lost = typesOf(wide).filter(
      (name) => !names.includes(name) && !(name === "integer" && names.includes("number")),
    );
    if (lost.length > 0)
      return lost.length === typesOf(wide).length || typesOf(wide) === allTypes
        ? [this.#say.onlyTypes(names)]
        : lost.map((name) => this.#say.type(name));
    return allowed === undefined ? [] : [this.#say.onlyValues(allowed)];
  }

  #ruleMessages(wide: JsonSchema, narrow: JsonSchema): string[] {
    if (valuesOf(wide) !== undefined) return [];
    const isNarrower = (name: string): boolean => {
      const [before, now] = [boundOf(wide, name), boundOf(narrow, name)];
      if (now === undefined) return false;
      return before === undefined || (lowerBounds.includes(name) ? now > before : now < before);
    };
    const bounds = [...lowerBounds, ...upperBounds].filter(isNarrower);
    const others = otherRules.filter((name) => isRule(narrow[name]) && !isDeepStrictEqual(wide[name], narrow[name]));
    return [...bounds, ...others].map((name) => this.#say.bound(name, wide[name], narrow[name]));
  }

  #compareFields(wide: SchemaPart, narrow: SchemaPart, path: string): SchemaChange[] {
    const [before, now] = [fieldsOf(wide), fieldsOf(narrow)];
    const at = (name: string): string => fieldPath([name], path);
    const missing = [...now.required]
      .filter((name) => !before.required.has(name))
      .map((name) => ({ path: at(name), message: this.#say.missing }));
    const changed = Object.entries(before.fields).flatMap(([name, field]) => {
      const known = Object.hasOwn(now.fields, name) ? now.fields[name] : now.others;
      if (known !== undefined) return this.compare(field, known, at(name));
      return now.isClosed && this.#countsFields ? [{ path: at(name), message: "is no longer accepted" }] : [];
    });
    const closed = now.isClosed && !before.isClosed && before.isObject && this.#countsFields;
    const others =
      before.others !== undefined && now.others !== undefined
        ? this.compare(before.others, now.others, `${path}[*]`)
        : [];
    return [
      ...missing,
      ...changed,
      ...others,
      ...(closed ? [{ path, message: "no longer accepts other fields" }] : []),
    ];
  }

  #compareItems(wide: SchemaPart, narrow: SchemaPart, path: string): SchemaChange[] {
    const [before, now] = [itemsOf(wide), itemsOf(narrow)];
    const count = Math.max(before.first.length, now.first.length);
    const pairs = Array.from({ length: count }, (_, index) => ({
      at: `${path}[${index}]`,
      wide: before.first[index] ?? before.rest,
      narrow: now.first[index] ?? now.rest,
    }));
    return [...pairs, { at: `${path}[]`, wide: before.rest, narrow: now.rest }].flatMap((pair) =>
      pair.wide === undefined || pair.narrow === undefined ? [] : this.compare(pair.wide, pair.narrow, pair.at),
    );
  }
}

const isRule = (value: unknown): boolean => value !== undefined && value !== false;

/** Every number in JSON is within the bounds of safe integers. */
function boundOf(schema: JsonSchema, name: string): number | undefined {
  const value = schema[name];
  return typeof value === "number" && Math.abs(value) !== Number.MAX_SAFE_INTEGER ? value : undefined;
}
