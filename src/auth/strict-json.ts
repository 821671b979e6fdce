/** Deepest nesting of a token's header or payload; real ones have two levels. */
const maxDepth = 8;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Every string of a JSON text, with its colon where it is a key. */
const marks = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g;

/**
 * The object written as base64url, undefined for anything else. Stricter than `JSON.parse`: a repeated key, of which
 * two readers may keep different values, `__proto__`, deep nesting and broken UTF-8 are refused too.
 */
export function readStrictObject(base64url: string): Record<string, unknown> | undefined {
  try {
    const text = utf8.decode(Buffer.from(base64url, "base64url"));
    const value: unknown = JSON.parse(text);
    return isObject(value) && countKeys(value, 1) === countWrittenKeys(text) ? value : undefined;
  } catch {
    // What cannot be decoded or parsed is refused alike; the reason would quote a stranger's text.
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Keys in a text known to be JSON, the repeated ones too. */
function countWrittenKeys(text: string): number {
  let count = 0;
  for (const [, colon] of text.matchAll(marks)) if (colon !== undefined) count += 1;
  return count;
}

/** Keys in a parsed value; NaN, which equals nothing, where it is too deep or holds `__proto__`. */
function countKeys(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth > maxDepth || Object.hasOwn(value, "__proto__")) return Number.NaN;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const item of Object.values(value)) count += countKeys(item, depth + 1);
  return count;
}
