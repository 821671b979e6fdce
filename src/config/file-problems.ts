import type { z } from "zod";
import type { Problem } from "./problems.ts";
import { didYouMean } from "./suggestion.ts";

/**
 * Converts zod's issues to problems with paths and messages for operators. Needs issues made with `reportInput`;
 * `schema` is the parsed schema, for suggestions of misspelled keys.
 */
export function problemsOf(error: z.ZodError | undefined, schema: z.core.$ZodType): Problem[] {
  return (error?.issues ?? [])
    .flatMap(ofClosestForm)
    .flatMap((issue) =>
      issue.code === "unrecognized_keys"
        ? unknownKeys(issue.path, issue.keys, schema)
        : [{ name: pathOf(issue.path), message: messageOf(issue) }],
    );
}

/** Of an object that may have several forms: what it lacks of the one it is closest to, if there is one. */
function ofClosestForm(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  const forms = issue.errors.filter((issues) => issues.every(({ path, code }) => path.length > 0 || code === unknown));
  const [closest, next] = forms.toSorted((one, other) => one.length - other.length);
  if (closest === undefined || next === undefined || closest.length === next.length) return [issue];
  return closest.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
}

const unknown = "unrecognized_keys";

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

function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_value") return issue.message;
  return issue.message + didYouMean(String(issue.input), issue.values.map(String));
}
