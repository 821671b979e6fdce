import { TidegateError } from "./errors.ts";

/** Around a message: the packet's type and number, the brackets, and the name's quotes. */
const envelopeBytes = 24;

/**
 * Bytes of a message on the wire. Throws `bad_request` for what is not JSON: bytes would end the connection, and a BigInt
 * or a circle would throw in the middle of whatever sends it.
 */
export function messageBytes(name: string, message: object): number {
  const text = textOf(message);
  return envelopeBytes + name.length + utf8Length(text);
}

function textOf(message: object): string {
  try {
    return JSON.stringify(message, refuseBinary);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TidegateError("bad_request", `The message cannot be sent as JSON: ${reason}`, { cause });
  }
}

/** Looks at the value itself: a `Buffer` makes JSON of itself, which Socket.IO does not let it do. */
function refuseBinary(this: unknown, key: string, value: unknown): unknown {
  if (isBinary((this as Record<string, unknown>)[key])) throw new Error(`${key || "it"} contains binary data.`);
  return value;
}

const isBinary = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  (ArrayBuffer.isView(value) || binaryTags.has(Object.prototype.toString.call(value)));

const binaryTags: ReadonlySet<string> = new Set(["[object ArrayBuffer]", "[object Blob]", "[object File]"]);

/** `TextEncoder` is missing in React Native before 0.75. */
function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    // Each half of a pair counts two; JSON writes halves that stand alone as escapes.
    if (code > 0x7f) bytes += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return bytes;
}
