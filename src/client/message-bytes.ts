import { messageOf, TidegateError } from "./errors.ts";

/** Overhead of a message: packet type and id, brackets, and the quotes of the name. */
const envelopeBytes = 24;

/**
 * Bytes of a message on the wire. Throws `bad_request` if it cannot be sent as JSON: binary data would end the
 * connection, and a BigInt or a cycle would throw while sending.
 */
export function messageBytes(name: string, message: object): number {
  const text = textOf(message);
  return envelopeBytes + name.length + utf8Length(text);
}

function textOf(message: object): string {
  try {
    return JSON.stringify(message, refuseBinary);
  } catch (cause) {
    throw new TidegateError("bad_request", `The message cannot be sent as JSON: ${messageOf(cause)}`, { cause });
  }
}

/** Checks the original value: a `Buffer` has its own `toJSON`, which Socket.IO does not call. */
function refuseBinary(this: unknown, key: string, value: unknown): unknown {
  if (isBinary((this as Record<string, unknown>)[key])) throw new Error(`${key || "it"} contains binary data.`);
  return value;
}

const isBinary = (value: unknown): boolean =>
  ArrayBuffer.isView(value) || /(ArrayBuffer|Blob|File)\]$/.test(Object.prototype.toString.call(value));

/** `TextEncoder` is missing in React Native before 0.75. */
function utf8Length(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    // Each half of a surrogate pair counts two; JSON escapes lone surrogates.
    if (code > 0x7f) bytes += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return bytes;
}
