import { isExactNumber } from "./exact-number.ts";

/** Counts of a JSON text, determined without recursion, so that any depth is safe. */
export interface TextScan {
  /** Max nesting of arrays and objects. */
  depth: number;
  /** Object keys and array elements; an empty array or object counts as one. */
  items: number;
  /** Object keys, including repeated ones. */
  names: number;
  /** True if a number has more digits than JavaScript can represent. */
  hasInexactNumber: boolean;
}

const quote = 0x22;
const plus = 0x2b;
const comma = 0x2c;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;
const colon = 0x3a;
const openBracket = 0x5b;
const backslash = 0x5c;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
/** Bit that makes an ASCII letter lower-case. */
const small = 0x20;
const letterE = 0x65;

/** Fifteen digits are always exact, unless an exponent exceeds a double's range. */
const digitsHeld = 15;

/** Invalid JSON is left to the parser. Stops at the first character nested deeper than `maxDepth`. */
export function scanJson(text: string, maxDepth: number): TextScan & { end: number } {
  // Separate variables, because counting in an object is slower.
  let depth = 0;
  let deepest = 0;
  let items = 0;
  let names = 0;
  let hasInexactNumber = false;
  let end = text.length;
  for (let at = 0; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      at = endOfString(text, at);
    } else if (code >= zero && code <= nine) {
      const digits = endOfDigits(text, at);
      const next = (text.charCodeAt(digits) | small) === letterE ? endOfExponent(text, digits) : digits;
      const isHeld = next === digits && next - at <= digitsHeld;
      hasInexactNumber ||= !isHeld && !isExactNumber(text.slice(at, next));
      at = next - 1;
    } else if (code === comma) {
      items += 1;
    } else if (code === colon) {
      names += 1;
    } else if (code === openBrace || code === openBracket) {
      items += 1;
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (depth > maxDepth) end = at;
    } else if (code === closeBrace || code === closeBracket) {
      depth -= 1;
    }
  }
  return { depth: deepest, items, names, hasInexactNumber, end };
}

/** The end of the string that begins at `start`, or of the text if it is not terminated. */
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

function endOfDigits(text: string, start: number): number {
  let end = start;
  let code = text.charCodeAt(end);
  while ((code >= zero && code <= nine) || code === dot) code = text.charCodeAt((end += 1));
  return end;
}

function endOfExponent(text: string, start: number): number {
  const sign = text.charCodeAt(start + 1);
  return endOfDigits(text, sign === plus || sign === minus ? start + 2 : start + 1);
}

/** An open object or array: its keys so far, and the current key or index. */
interface Level {
  names: Set<string> | undefined;
  step: string | number;
}

/** The path of the first repeated key in a valid JSON text. */
export function findRepeatedName(text: string): (string | number)[] | undefined {
  const open: Level[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    const level = open.at(-1);
    if (code === quote) {
      const end = endOfString(text, at);
      if (level?.names !== undefined && isName(text, end)) {
        level.step = JSON.parse(text.slice(at, end + 1)) as string;
        if (level.names.has(level.step)) return open.map(({ step }) => step);
        level.names.add(level.step);
      }
      at = end;
    } else if (code === comma && typeof level?.step === "number") {
      level.step += 1;
    } else if (code === openBrace) {
      open.push({ names: new Set(), step: "" });
    } else if (code === openBracket) {
      open.push({ names: undefined, step: 0 });
    } else if (code === closeBrace || code === closeBracket) {
      open.pop();
    }
  }
  return undefined;
}

/** A string is a key if a colon follows. */
function isName(text: string, end: number): boolean {
  let next = end + 1;
  while (text.charCodeAt(next) <= small) next += 1;
  return text.charCodeAt(next) === colon;
}
