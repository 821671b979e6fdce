import { fieldPath } from "./field-path.ts";
import type { GatewayError } from "./errors.ts";
import { wrong } from "./parse-with.ts";

/** What JSON has in place of an object: documents of databases hide circular references and buffers behind `toJSON`. */
export function jsonFormOf(value: object): object | undefined {
  const form: unknown = "toJSON" in value && typeof value.toJSON === "function" ? value.toJSON() : value;
  return typeof form === "object" && form !== null ? form : undefined;
}

/**
 * Publications and what is stored are JSON: a buffer would become an object of its bytes. Throws `bad_request` with the field;
 * also for a circular value.
 */
export function checkNoBinary(value: unknown, at = ""): void {
  check(value, { at, path: [], ancestors: [] });
}

interface Place {
  at: string;
  path: readonly (string | number)[];
  /** The objects that contain the value. */
  ancestors: object[];
}

function check(value: unknown, { at, path, ancestors }: Place): void {
  if (typeof value !== "object" || value === null) return;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    throw wrongAt(at, path, "must not contain binary data");
  if (ancestors.includes(value)) throw wrongAt(at, path, "must not be circular");
  ancestors.push(value);
  const form = jsonFormOf(value) ?? {};
  for (const [key, item] of Object.entries(form)) {
    check(item, { at, path: [...path, Array.isArray(form) ? Number(key) : key], ancestors });
  }
  ancestors.pop();
}

const wrongAt = (at: string, path: Place["path"], what: string): GatewayError =>
  wrong(fieldPath(path, at) || "payload", what);
