import type { z } from "zod";
import { GatewayError } from "./errors.ts";
import { fieldPath } from "./field-path.ts";
import { inWords } from "./issue-words.ts";

/**
 * Parses an untrusted value; an invalid one throws `bad_request` with the path of its first invalid field. `at` is the path
 * of the value itself: `publications[3]` for an item of a batch.
 */
export function parseWith<S extends z.ZodType>(schema: S, value: unknown, at = ""): z.output<S> {
  const parsed = schema.safeParse(value, { error: inWords });
  if (parsed.success) return parsed.data;
  throw wrongField(parsed.error.issues[0], at);
}

function wrongField(issue: z.core.$ZodIssue | undefined, at: string): GatewayError {
  if (issue === undefined) return new GatewayError("bad_request");
  const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : issue.path;
  const field = fieldPath(path, at);
  // Without a field it is the whole body or argument.
  return field === "" ? new GatewayError("bad_request", `The request ${issue.message}.`) : wrong(field, issue.message);
}

/** A `bad_request` for one field. */
export function wrong(field: string, reason: string): GatewayError {
  return new GatewayError("bad_request", `${field}: ${reason}`, { field });
}
