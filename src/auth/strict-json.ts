import { isUtf8 } from "node:buffer";

/** Max nesting of a token's header or payload. */
const maxDepth = 8;

/**
 * Decodes a JSON object from base64url; undefined for anything else. Stricter than `JSON.parse`: repeated keys (which
 * parsers treat differently), `__proto__`, deep nesting and invalid UTF-8 are refused too.
 */
export function readStrictObject(base64url: string): Record<string, unknown> | undefined {
  try {
    const bytes = Buffer.from(base64url, "base64url");
    if (!isUtf8(bytes)) return undefined;
    const text = bytes.toString();
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

const colon = 0x3a;
const backslash = 0x5c;

/** Keys in a valid JSON text, including repeated ones: strings before a colon. */
function countWrittenKeys(text: string): number {
  let count = 0;
  for (let quote = text.indexOf('"'); quote !== -1; quote = text.indexOf('"', quote)) {
    let end = stringEnd(text, quote);
    while (text.charCodeAt(end) <= 0x20) end += 1;
    if (text.charCodeAt(end) === colon) count += 1;
    quote = end;
  }
  return count;
}

/** The place behind the string that begins at `quote`. */
function stringEnd(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); ; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === backslash) before -= 1;
    if ((end - before) % 2 === 1) return end + 1;
  }
}

/** Keys in a parsed value; NaN, which equals nothing, if it is too deep or contains `__proto__`. */
function countKeys(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth > maxDepth || Object.hasOwn(value, "__proto__")) return Number.NaN;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const item of Object.values(value)) count += countKeys(item, depth + 1);
  return count;
}
