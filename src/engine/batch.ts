import type { DeliveryOptions } from "../channels/subscribers.ts";

const textFrame = 0x81;

/** One publication as a WebSocket carries it, one unmasked text frame, built once for all its readers. */
export class Frame {
  readonly bytes: Buffer;
  readonly key: string | undefined;
  readonly isVolatile: boolean;
  #text: string | undefined;
  #alone: Batch | undefined;

  /** `packet` is the text of the Engine.IO packet, in UTF-8. */
  constructor(packet: Buffer, { key, isVolatile = false }: DeliveryOptions = {}) {
    this.bytes = framed(packet);
    this.key = key;
    this.isVolatile = isVolatile;
  }

  /** What Engine.IO is given where it builds the frame itself: the same without the packet's type. */
  get text(): string {
    return (this.#text ??= this.bytes.toString("utf8", headerLength(this.bytes[1] as number) + 1));
  }

  /** The batch that every connection begins with that has nothing else in this turn. */
  get alone(): Batch {
    return (this.#alone ??= new Batch(this));
  }
}

function framed(packet: Buffer): Buffer {
  const { length } = packet;
  const code = length < 126 ? length : length < 65_536 ? 126 : 127;
  const start = headerLength(code);
  const bytes = Buffer.allocUnsafe(start + length);
  bytes[0] = textFrame;
  bytes[1] = code;
  if (code === 126) bytes.writeUInt16BE(length, 2);
  if (code === 127) bytes.writeBigUInt64BE(BigInt(length), 2);
  packet.copy(bytes, start);
  return bytes;
}

/** Of a frame whose second byte, which holds its length or how the length is written, is `code`. */
function headerLength(code: number): number {
  if (code < 126) return 2;
  return code === 126 ? 4 : 10;
}

/**
 * The frames one connection gets in one turn of the event loop. Connections that get the same frames share the batch, so
 * their bytes are joined once, whatever the number of readers, and a reader that lags holds no copy of its own.
 */
export class Batch {
  readonly frame: Frame;
  readonly before: Batch | undefined;
  readonly length: number;
  /** Nothing in it may be left out. */
  readonly isPlain: boolean;
  #next: Batch | undefined;
  #bytes: Buffer | undefined;

  constructor(frame: Frame, before?: Batch) {
    this.frame = frame;
    this.before = before;
    this.length = frame.bytes.length + (before?.length ?? 0);
    this.isPlain = frame.key === undefined && !frame.isVolatile && before?.isPlain !== false;
  }

  /** This batch and one more frame. */
  and(frame: Frame): Batch {
    if (this.#next?.frame !== frame) this.#next = new Batch(frame, this);
    return this.#next;
  }

  /** All frames, joined. */
  get bytes(): Buffer {
    return (this.#bytes ??= this.before === undefined ? this.frame.bytes : this.#join());
  }

  /** In the order in which they came. */
  frames(): Frame[] {
    return framesUpTo(this);
  }

  #join(): Buffer {
    const frames = this.frames().map(({ bytes }) => bytes);
    return Buffer.concat(frames, this.length);
  }
}

function framesUpTo(last: Batch): Frame[] {
  const frames: Frame[] = [];
  for (let batch: Batch | undefined = last; batch !== undefined; batch = batch.before) frames.push(batch.frame);
  return frames.toReversed();
}
