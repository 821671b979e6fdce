import { messageOf, TidegateError } from "./errors.ts";

/** Overhead of a message: packet type and id, brackets, and the quotes of the name. */
const envelopeBytes = 24;

/**
 * Bytes of a message on the wire. Throws `bad_request` if it cannot be sent as JSON: binary data would end the
 * connection, and a BigInt or a cycle would throw while sending.
 */
export function messageBytes(name: string, message: object): number {
  try {
    return envelopeBytes + name.length + utf8Length(JSON.stringify(message, refuseBinary));
  } catch (cause) {
    throw new TidegateError("bad_request", `The message is not JSON: ${messageOf(cause)}`, { cause });
  }
}

/** Checks the original value: a `Buffer` has its own `toJSON`, which Socket.IO does not call. */
function refuseBinary(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Record<string, unknown>)[key];
  if (ArrayBuffer.isView(original) || /(ArrayBuffer|Blob|File)\]$/.test(Object.prototype.toString.call(original)))
    throw new Error(`${key || "it"} is binary.`);
  return value;
}

/** `TextEncoder` is missing in React Native before 0.75. Each half of a surrogate pair counts two. */
const utf8Length = (text: string): number =>
  text.replace(/[\x80-\u07ff\ud800-\udfff]/g, "--").replace(/[^\0-\x7f]/g, "---").length;
