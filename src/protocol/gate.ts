import { GatewayError } from "./errors.ts";
import { isExactNumber } from "./exact-number.ts";
import { fieldPath } from "./field-path.ts";
import { findRepeatedName, scanJson, type TextScan } from "./json-text.ts";

/**
 * Parses untrusted JSON: client frames, HTTP bodies and Redis messages pass it before any other code
 * sees them.
 *
 * A parsed value is limited in size, depth and width; its strings are well-formed, its numbers finite and exact, no key is
 * repeated and none reaches a prototype. `canonicalJson` writes its one form, which is stored and sent. Size, depth and
 * width are checked before anything is parsed.
 */
export interface GateLimits {
  /** Bytes of the text in UTF-8. @default 65536 */
  maxBytes: number;
  /** Arrays and objects within each other. @default 32 */
  maxDepth: number;
  /** Object keys and array elements of the whole value; an empty array or object counts as one. @default 10000 */
  maxKeys: number;
}

export const defaultGateLimits: GateLimits = { maxBytes: 65_536, maxDepth: 32, maxKeys: 10_000 };

/** How numbers with more digits than JavaScript can represent are treated: refused, or kept as text. */
export interface ParseOptions {
  /** @default "refused" */
  inexactNumbers?: "refused" | "text";
}

/** Parses JSON text. Throws GatewayError `payload_too_large`, or `bad_request` naming the field that was wrong. */
export function parseJson(text: string | Uint8Array, limits?: Partial<GateLimits>, options?: ParseOptions): unknown {
  const read = readText(text, limits, options);
  checkParts(read, [read.value], 0);
  return read.value;
}

/** `parseJson` for an array whose elements are checked separately: an error names the field within its element. */
export function parseList(text: string | Uint8Array, limits?: Partial<GateLimits>): unknown[] {
  const read = readText(text, limits);
  if (!Array.isArray(read.value)) throw new GatewayError("bad_request", "The payload is not an array.");
  checkParts(read, read.value, 1);
  return read.value;
}

interface Read {
  value: unknown;
  characters: string;
  scan: TextScan;
}

function readText(text: string | Uint8Array, limits?: Partial<GateLimits>, options?: ParseOptions): Read {
  const { maxBytes, maxDepth, maxKeys } = withDefaults(limits);
  if (isOver(maxBytes, text)) throw tooLarge(maxBytes);
  const characters = typeof text === "string" ? text : decodeUtf8(text);
  const scan = scanJson(characters, maxDepth);
  if (scan.depth > maxDepth) throw tooDeep(maxDepth, scan.end);
  if (scan.items > maxKeys) throw tooWide(maxKeys);
  return { value: parseText(characters, scan, options), characters, scan };
}

function parseText(characters: string, { hasInexactNumber }: TextScan, options?: ParseOptions): unknown {
  try {
    if (!hasInexactNumber) return JSON.parse(characters) as unknown;
    return parseExactly(characters, options?.inexactNumbers === "text" ? (source) => source : () => inexact);
  } catch {
    // The parser's error quotes the text, which may contain secrets.
    throw new GatewayError("bad_request", "The payload is not JSON.");
  }
}

/** Stands for an inexact number until the error with its path was built. */
const inexact = Symbol("inexact number");

/** Several times slower than parsing, so only used for texts with such a number. */
function parseExactly(characters: string, replace: (source: string) => unknown): unknown {
  const revive = (_name: string, value: unknown, { source = "" }: { source?: string }) =>
    typeof value !== "number" || isExactNumber(source.replace(/^-/, "")) ? value : replace(source);
  return JSON.parse(characters, revive as (name: string, value: unknown) => unknown);
}

/** Checks strings, numbers and keys; `depth` is the number of leading steps left out of an error's path. */
function checkParts({ characters, scan }: Read, parts: readonly unknown[], depth: number): void {
  const budget = { left: Infinity, names: 0 };
  for (const part of parts) refuse(findFault(part, Infinity, budget));
  if (budget.names === scan.names) return;
  const steps = findRepeatedName(characters)?.slice(depth).toReversed() ?? [];
  refuse({ reason: "is present twice", steps });
}

/** Checks a value that was decoded and limited in size elsewhere. Throws as `parseJson` does. */
export function checkValue(value: unknown, limits?: Partial<GateLimits>): void {
  const { maxDepth, maxKeys } = withDefaults(limits);
  refuse(findFault(value, maxDepth, { left: maxKeys, names: 0 }));
}

/** The canonical text of a checked value: no spaces, no -0, keys in their order. */
export function canonicalJson(value: unknown): string {
  const text = stringified(value);
  if (text === undefined) throw new GatewayError("bad_request", "The payload is not a JSON value.");
  return text;
}

/** Undefined for what JSON has no text for, such as a circular value or a BigInt of an app. */
function stringified(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function withDefaults(limits: Partial<GateLimits> | undefined): GateLimits {
  return limits === undefined ? defaultGateLimits : { ...defaultGateLimits, ...limits };
}

/** Measures a string in UTF-8 only if its length is inconclusive: one UTF-16 unit is one to three bytes. */
function isOver(maxBytes: number, text: string | Uint8Array): boolean {
  if (text.length > maxBytes) return true;
  return typeof text === "string" && text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    // The decoder's error says no more than this.
    throw new GatewayError("bad_request", "The payload is not UTF-8.");
  }
}

export const tooLarge = (maxBytes: number): GatewayError =>
  new GatewayError("payload_too_large", `The payload is larger than ${maxBytes} bytes.`);

const tooDeep = (maxDepth: number, at: number): GatewayError =>
  new GatewayError("bad_request", `The payload is nested more than ${maxDepth} levels deep at character ${at}.`);

const tooWide = (maxKeys: number): GatewayError =>
  new GatewayError("bad_request", `The payload has more than ${maxKeys} keys and elements.`);

/** An invalid part of a value, and the steps to it, innermost first. */
interface Fault {
  reason: string;
  steps: (string | number)[];
}

interface Budget {
  left: number;
  /** Object keys visited. */
  names: number;
}

/** Recursion is bounded by `depth`, or by the scanned text. */
function findFault(value: unknown, depth: number, keys: Budget): Fault | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : fault("contains a lone surrogate");
  if (typeof value === "number") return Number.isFinite(value) ? undefined : fault("is not a finite number");
  if (typeof value === "boolean" || value === null) return undefined;
  if (value === inexact) return fault("is a number with too many digits to be stored exactly; send it as a string");
  if (typeof value !== "object") return fault("is not a JSON value");
  if (depth === 0) return fault("is nested too deeply");
  return Array.isArray(value) ? faultInArray(value, depth, keys) : faultInObject(value, depth, keys);
}

function faultInArray(array: readonly unknown[], depth: number, keys: Budget): Fault | undefined {
  if ((keys.left -= array.length || 1) < 0) return fault("has too many elements");
  for (let index = 0; index < array.length; index += 1) {
    const found = findFault(array[index], depth - 1, keys);
    if (found !== undefined) return below(index, found);
  }
  return undefined;
}

function faultInObject(object: object, depth: number, keys: Budget): Fault | undefined {
  if (Object.getPrototypeOf(object) !== Object.prototype) return fault("is not a JSON value");
  const names = Object.keys(object);
  if ((keys.left -= names.length || 1) < 0) return fault("has too many keys");
  keys.names += names.length;
  for (const name of names) {
    const item = (object as Record<string, unknown>)[name];
    const found = faultInName(name, item) ?? findFault(item, depth - 1, keys);
    if (found !== undefined) return below(name, found);
  }
  return undefined;
}

/** `__proto__`, or `prototype` in a `constructor`, would pollute all objects if some code merges the value. */
function faultInName(name: string, item: unknown): Fault | undefined {
  if (name === "__proto__") return fault("is not allowed as a key");
  if (name === "constructor" && hasPrototype(item)) return fault("must not contain a prototype");
  return name.isWellFormed() ? undefined : fault("has a name with a lone surrogate");
}

function hasPrototype(item: unknown): boolean {
  return typeof item === "object" && item !== null && Object.hasOwn(item, "prototype");
}

const fault = (reason: string): Fault => ({ reason, steps: [] });

function below(step: string | number, found: Fault): Fault {
  found.steps.push(step);
  return found;
}

function refuse(found: Fault | undefined): void {
  if (found === undefined) return;
  const field = fieldPath(found.steps.toReversed());
  if (field === "") throw new GatewayError("bad_request", `The payload ${found.reason}.`);
  throw new GatewayError("bad_request", `${field}: ${found.reason}`, { field });
}
