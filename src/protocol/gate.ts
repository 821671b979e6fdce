import { GatewayError } from "./errors.ts";
import { fieldPath } from "./field-path.ts";

/**
 * The one way in for JSON of strangers: client frames, HTTP bodies and Redis messages pass it before any other code
 * sees them.
 *
 * What passes is at most so large, so deep and so wide; its strings are well-formed, its numbers finite, and no key of
 * it reaches a prototype. Such a value looks the same on every node: `canonicalJson` writes its one form, and that text
 * is what is stored and sent on. All of it is bounded work: size, depth and width are known before anything is parsed.
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

/** Parses JSON text. Throws GatewayError `payload_too_large`, or `bad_request` naming the field that was wrong. */
export function parseJson(text: string | Uint8Array, limits?: Partial<GateLimits>): unknown {
  const value = parseBounded(text, limits);
  checkForm(value);
  return value;
}

/** As `parseJson`, but strings, numbers and keys are yet to be checked by `checkForm`. */
export function parseBounded(text: string | Uint8Array, limits?: Partial<GateLimits>): unknown {
  const { maxBytes, maxDepth, maxKeys } = withDefaults(limits);
  if (isOver(maxBytes, text)) throw new GatewayError("payload_too_large", `The payload is over ${maxBytes} bytes.`);
  const characters = typeof text === "string" ? text : decodeUtf8(text);
  checkNesting(characters, maxDepth, maxKeys);
  try {
    return JSON.parse(characters) as unknown;
  } catch {
    // The parser's reason quotes the text, which may hold secrets.
    throw new GatewayError("bad_request", "The payload is not JSON.");
  }
}

/** Checks a value that something else decoded and bounded in size. Throws as `parseJson` does. */
export function checkValue(value: unknown, limits?: Partial<GateLimits>): void {
  const { maxDepth, maxKeys } = withDefaults(limits);
  refuse(findFault(value, maxDepth, { left: maxKeys }));
}

/** Checks strings, numbers and keys of a value from `parseBounded`. */
export function checkForm(value: unknown): void {
  refuse(findFault(value, Infinity, { left: Infinity }));
}

/** The one text of a value that passed the gate: no spaces, no -0, keys in the order they came. */
export function canonicalJson(value: unknown): string {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new GatewayError("bad_request", "The payload is not a JSON value.");
  return text;
}

function withDefaults(limits: Partial<GateLimits> | undefined): GateLimits {
  return limits === undefined ? defaultGateLimits : { ...defaultGateLimits, ...limits };
}

/** A string is measured in UTF-8 only where its length leaves a doubt: one UTF-16 unit is one to three bytes. */
function isOver(maxBytes: number, text: string | Uint8Array): boolean {
  if (text.length > maxBytes) return true;
  return typeof text === "string" && text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    // The decoder's reason says no more than this.
    throw new GatewayError("bad_request", "The payload is not UTF-8.");
  }
}

const quote = 0x22;
const comma = 0x2c;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/** Counts without recursion, so that no depth can hurt it. A text that is not JSON is left to the parser. */
function checkNesting(text: string, maxDepth: number, maxKeys: number): void {
  let depth = 0;
  let keys = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
    } else if (code === comma) {
      keys += 1;
    } else if (code === openBrace || code === openBracket) {
      keys += 1;
      if (++depth > maxDepth) throw tooDeep(maxDepth, at);
    } else if (code === closeBrace || code === closeBracket) {
      depth -= 1;
    }
  }
  if (keys > maxKeys) throw tooWide(maxKeys);
}

/** Where the string that begins at `start` ends; the end of the text where it does not. */
function endOfString(text: string, start: number): number {
  let end = start;
  do {
    end = text.indexOf('"', end + 1);
    if (end === -1) return text.length;
  } while (isEscaped(text, end));
  return end;
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text.charCodeAt(first - 1) === backslash) first -= 1;
  return (at - first) % 2 === 1;
}

const tooDeep = (maxDepth: number, at: number): GatewayError =>
  new GatewayError("bad_request", `The payload is nested deeper than ${maxDepth} levels at character ${at}.`);

const tooWide = (maxKeys: number): GatewayError =>
  new GatewayError("bad_request", `The payload has more than ${maxKeys} keys and elements.`);

/** What is wrong with a value, and the steps from the value down to it, innermost first. */
interface Fault {
  reason: string;
  steps: (string | number)[];
}

interface Budget {
  left: number;
}

/** Recursion is safe here: it goes no deeper than `depth`, or than text that `checkNesting` has seen. */
function findFault(value: unknown, depth: number, keys: Budget): Fault | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : fault("has a lone surrogate");
  if (typeof value === "number") return Number.isFinite(value) ? undefined : fault("is not a finite number");
  if (typeof value === "boolean" || value === null) return undefined;
  if (typeof value !== "object") return fault("is not a JSON value");
  if (depth === 0) return fault("is nested too deep");
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
  for (const name of names) {
    const item = (object as Record<string, unknown>)[name];
    const found = faultInName(name, item) ?? findFault(item, depth - 1, keys);
    if (found !== undefined) return below(name, found);
  }
  return undefined;
}

/** A `__proto__`, or a `prototype` in a `constructor`, would reach every object of a process that merges it somewhere. */
function faultInName(name: string, item: unknown): Fault | undefined {
  if (name === "__proto__") return fault("is not allowed as a key");
  if (name === "constructor" && hasPrototype(item)) return fault("must not hold a prototype");
  return name.isWellFormed() ? undefined : fault("has a lone surrogate in its name");
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
