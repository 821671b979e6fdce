import { isUtf8 } from "node:buffer";
import type { Writable } from "node:stream";
import { Receiver } from "ws";

declare module "ws" {
  /** Exported by ws and not in its types: parses the frames of one connection. Emits `message`, `ping`, `conclude`. */
  export class Receiver extends Writable {
    constructor(options: { isServer: boolean; maxPayload: number; maxFragments: number; maxBufferedChunks: number });
  }
}

/** Max fragments of an incomplete message, and max chunks of one frame. */
const maxFragments = 64;
const maxBufferedChunks = 1_024;

/** Errors of ws with a close code other than 1002. */
const closeCodes: Readonly<Record<string, number>> = {
  WS_ERR_INVALID_UTF8: 1007,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 1008,
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: 1009,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 1009,
};

export const tooLarge = 1009;
export const invalidUtf8 = 1007;

/** The close code for an error of the receiver. */
export const closeCodeOf = ({ code = "" }: { code?: string }): number => closeCodes[code] ?? 1002;

/** Parses everything that `readWhole` does not handle. */
export function createReceiver(maxPayload: number): Receiver {
  return new Receiver({ isServer: true, maxPayload, maxFragments, maxBufferedChunks });
}

const wholeText = 0x81;
const masked = 0x80;

/** A message that was complete in one frame, and the start of the next frame. */
export interface WholeMessage {
  /** Undefined if it is not valid UTF-8. */
  text: string | undefined;
  end: number;
}

/**
 * The message that starts at `start`, if it is one complete text frame of at most `maxLength` bytes (and 64 kB), as almost all
 * are; undefined for anything else, which the receiver handles. Unmasks the chunk in place.
 */
export function readWhole(chunk: Buffer, start: number, maxLength: number): WholeMessage | undefined {
  if (chunk.length < start + 6 || chunk[start] !== wholeText) return undefined;
  const code = chunk[start + 1] as number;
  if (code < masked || code === 0xff) return undefined;
  const head = code === 0xfe ? 8 : 6;
  if (chunk.length < start + head) return undefined;
  const length = code === 0xfe ? chunk.readUInt16BE(start + 2) : code & 0x7f;
  const end = start + head + length;
  if (end > chunk.length || length > maxLength) return undefined;
  const payload = chunk.subarray(start + head, end);
  unmask(payload, chunk, start + head - 4);
  return { text: isUtf8(payload) ? payload.toString() : undefined, end };
}

function unmask(payload: Buffer, chunk: Buffer, maskAt: number): void {
  for (let index = 0; index < payload.length; index++)
    payload[index] = (payload[index] as number) ^ (chunk[maskAt + (index & 3)] as number);
}
