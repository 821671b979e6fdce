/** Max nesting of a token's header or payload. */
const maxDepth = 8;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Every string of a JSON text, with its colon if it is a key. */
const marks = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g;

/**
 * Decodes a JSON object from base64url; undefined for anything else. Stricter than `JSON.parse`: repeated keys (which
 * parsers treat differently), `__proto__`, deep nesting and invalid UTF-8 are refused too.
 */
export function readStrictObject(base64url: string): Record<string, unknown> | undefined {
  try {
    const text = utf8.decode(Buffer.from(base64url, "base64url"));
    const value: unknown = JSON.parse(text);
    return isObject(value) && countKeys(value, 1) === countWrittenKeys(text) ? value : undefined;
  } catch {
    // The error would quote untrusted text.
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Keys in a valid JSON text, including repeated ones. */
function countWrittenKeys(text: string): number {
  let count = 0;
  for (const [, colon] of text.matchAll(marks)) if (colon !== undefined) count += 1;
  return count;
}

/** Keys in a parsed value; NaN, which equals nothing, if it is too deep or contains `__proto__`. */
function countKeys(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth > maxDepth || Object.hasOwn(value, "__proto__")) return Number.NaN;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const item of Object.values(value)) count += countKeys(item, depth + 1);
  return count;
}
