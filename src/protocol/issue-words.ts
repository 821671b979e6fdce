import type { z } from "zod";

type Issue = z.core.$ZodRawIssue;

/**
 * Says in plain words what is wrong with a value, after the name of its field: `must be at least 1`. It is passed to every
 * parse of untrusted values (HTTP, events, commands, the configuration file); a schema's own message comes first.
 */
export function inWords(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? "is required" : `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "too_small":
      return bounded(issue, issue.inclusive === false ? "greater than" : "at least", issue.minimum);
    case "too_big":
      return bounded(issue, issue.inclusive === false ? "less than" : "at most", issue.maximum);
    case "invalid_value":
      return `must be ${issue.values.length > 1 ? "one of " : ""}${issue.values.map(String).join(", ")}`;
    case "not_multiple_of":
      return `must be a multiple of ${issue.divisor}`;
    case "invalid_format":
      return issue.pattern === undefined ? `must be a valid ${issue.format}` : `must match ${issue.pattern}`;
    case "unrecognized_keys":
      return "is unknown";
    case "invalid_union":
      return anyOf(issue);
    case "invalid_key":
    case "invalid_element":
      return unique(issue.issues).join("; ");
    default:
      return "is not valid";
  }
}

const typeNames: Record<string, string> = {
  int: "a whole number",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "an array",
};

type Bounded = Omit<z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig, "message" | "path">;

/** Strings and arrays have a size, numbers are one. */
const units: Record<string, [one: string, several: string]> = {
  string: ["character", "characters"],
  array: ["entry", "entries"],
};

/** `must be at least 1`, `must have at most 3 entries`. */
function bounded({ origin, exact }: Bounded, relation: string, bound: number | bigint): string {
  const unit = units[origin];
  if (unit === undefined) return `must be ${relation} ${bound}`;
  return `must have ${exact === true ? "exactly" : relation} ${bound} ${unit[bound === 1 ? 0 : 1]}`;
}

/** What any of the alternatives asks of the value itself; faults deeper inside belong to only one of them. */
function anyOf({
  errors,
  options,
}: {
  errors: z.core.$ZodIssue[][];
  options?: readonly z.core.util.Primitive[];
}): string {
  if (options !== undefined) return `must be one of ${options.map(String).join(", ")}`;
  const own = unique(errors.flat().filter(({ path }) => path.length === 0));
  return own.length === 0 ? "is not valid" : own.join(", or ");
}

const unique = (issues: readonly z.core.$ZodIssue[]): string[] => [...new Set(issues.map(({ message }) => message))];
