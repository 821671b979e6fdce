import { fieldPath } from "./field-path.ts";
import { wrong } from "./parse-with.ts";

type Path = readonly (string | number)[];

/** Deeper values are refused elsewhere, or are circular. */
const maxDepth = 64;

/** Publications and what is stored are JSON: a buffer would become an object of its bytes. Throws `bad_request` with the field. */
export function checkNoBinary(value: unknown, at = ""): void {
  const path = binaryPathIn(value, []);
  if (path !== undefined) throw wrong(fieldPath(path, at) || "payload", "must not contain binary data");
}

function binaryPathIn(value: unknown, path: Path): Path | undefined {
  if (typeof value !== "object" || value === null || path.length > maxDepth) return undefined;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return path;
  for (const [key, item] of Object.entries(value)) {
    const found = binaryPathIn(item, [...path, Array.isArray(value) ? Number(key) : key]);
    if (found !== undefined) return found;
  }
  return undefined;
}
