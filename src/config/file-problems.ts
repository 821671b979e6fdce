import type { z } from "zod";
import type { Problem } from "./problems.ts";
import { didYouMean } from "./suggestion.ts";

/**
 * Converts zod's issues to problems with paths and messages for operators. Needs issues made with `reportInput`;
 * `schema` is the parsed schema, for suggestions of misspelled keys.
 */
export function problemsOf(error: z.ZodError | undefined, schema: z.core.$ZodType): Problem[] {
  return (error?.issues ?? []).flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? unknownKeys(issue.path, issue.keys, schema)
      : [{ name: pathOf(issue.path), message: inWords(issue) }],
  );
}

function unknownKeys(path: readonly PropertyKey[], keys: readonly string[], schema: z.core.$ZodType): Problem[] {
  const known = keysAt(schema, path);
  return keys.map((key) => ({ name: pathOf([...path, key]), message: `unknown setting${didYouMean(key, known)}` }));
}

/** The keys of the strict object that stands at `path`. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[]): string[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  const [first, ...rest] = path;
  if (def.type === "optional" || def.type === "default" || def.type === "prefault") return keysAt(def.innerType, path);
  if (def.type === "record") return keysAt(def.valueType, rest);
  if (def.type === "array") return keysAt(def.element, rest);
  if (def.type !== "object") return [];
  const inner = first === undefined ? undefined : def.shape[String(first)];
  return inner === undefined ? Object.keys(def.shape) : keysAt(inner, rest);
}

export function pathOf(path: readonly PropertyKey[]): string {
  const parts = path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`));
  return parts.join("").replace(/^\./, "") || "GATEWAY_CONFIG";
}

function inWords(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? "is required" : `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "too_small":
      return `must be ${issue.inclusive === false ? "greater than" : "at least"} ${issue.minimum}${unitOf(issue.origin)}`;
    case "too_big":
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}${didYouMean(String(issue.input), issue.values.map(String))}`;
    case "invalid_key":
      return issue.issues.map(inWords).join("; ");
    default:
      return issue.message;
  }
}

const typeNames: Record<string, string> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

const unitOf = (origin: string): string =>
  origin === "string" ? " characters long" : origin === "array" ? " entries long" : "";
