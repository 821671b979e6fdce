/** How a frame is treated when its reader is slow. */
export interface FrameOptions {
  /** A later frame with the same key replaces this one. */
  key?: string | undefined;
  /** It may be dropped. */
  isVolatile?: boolean | undefined;
  /** Built for one connection, which shares its memory with no other; the queue then counts its overhead too. */
  isOwn?: boolean | undefined;
}

const textCode = 0x81;
const binaryCode = 0x82;

/** Approximate memory overhead of a frame, in bytes. */
const ownOverhead = 128;

/** One Engine.IO packet as an unmasked WebSocket frame, built once for all its readers. */
export class Frame {
  readonly bytes: Buffer;
  readonly key: string | undefined;
  readonly isVolatile: boolean;
  readonly isOwn: boolean;
  /** Its size in a send queue, in bytes. */
  readonly cost: number;
  #packet: string | undefined;
  #alone: FrameBatch | undefined;

  private constructor(bytes: Buffer, { key, isVolatile = false, isOwn = false }: FrameOptions) {
    this.bytes = bytes;
    this.key = key;
    this.isVolatile = isVolatile;
    this.isOwn = isOwn;
    this.cost = bytes.length + (isOwn ? ownOverhead : 0);
  }

  /** A text packet, as text or in UTF-8. */
  static text(packet: string | Buffer, options: FrameOptions = {}): Frame {
    return new Frame(framed(textCode, packet), options);
  }

  /** A binary message. */
  static binary(data: Buffer, options: FrameOptions = {}): Frame {
    return new Frame(framed(binaryCode, data), options);
  }

  /** A control frame, or other bytes that are only sent on a WebSocket. */
  static raw(bytes: Buffer): Frame {
    return new Frame(bytes, {});
  }

  /** The first text packet of a WebSocket, behind the answer to its handshake, which is in ASCII. */
  static textAfter(answer: string, packet: string): Frame {
    return new Frame(framed(textCode, packet, answer), {});
  }

  /** The packet as sent by polling. */
  get packet(): string {
    return (this.#packet ??= this.#unframed());
  }

  #unframed(): string {
    const start = payloadStart(this.bytes);
    if (this.bytes[0] === textCode) return this.bytes.toString("utf8", start);
    return `b${this.bytes.toString("base64", start)}`;
  }

  /** The batch of a connection without any other frame in this tick. */
  get alone(): FrameBatch {
    return (this.#alone ??= new FrameBatch(this));
  }
}

/** `before` is ASCII that comes first. */
function framed(code: number, payload: string | Buffer, before = ""): Buffer {
  const length = Buffer.byteLength(payload);
  const head = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const start = before.length + head;
  const all = Buffer.allocUnsafe(start + length);
  if (before !== "") all.write(before, "latin1");
  const bytes = before === "" ? all : all.subarray(before.length);
  bytes[0] = code;
  if (head === 2) bytes[1] = length;
  else writeLongLength(bytes, length, head);
  if (typeof payload === "string") all.write(payload, start, "utf8");
  else payload.copy(all, start);
  return all;
}

function writeLongLength(bytes: Buffer, length: number, start: number): void {
  bytes[1] = start === 4 ? 126 : 127;
  if (start === 4) bytes.writeUInt16BE(length, 2);
  else bytes.writeBigUInt64BE(BigInt(length), 2);
}

function payloadStart(bytes: Buffer): number {
  const code = bytes[1] as number;
  if (code < 126) return 2;
  return code === 126 ? 4 : 10;
}

/**
 * The frames of one connection in one tick. Connections with the same frames share the batch, so their bytes are joined once
 * for any number of readers, and a slow reader holds no copy of its own.
 */
export class FrameBatch {
  readonly frame: Frame;
  readonly before: FrameBatch | undefined;
  readonly length: number;
  readonly cost: number;
  /** None of its frames may be dropped. */
  readonly isPlain: boolean;
  #next: FrameBatch | undefined;
  #bytes: Buffer | undefined;

  constructor(frame: Frame, before?: FrameBatch) {
    this.frame = frame;
    this.before = before;
    this.length = frame.bytes.length + (before?.length ?? 0);
    this.cost = frame.cost + (before?.cost ?? 0);
    this.isPlain = frame.key === undefined && !frame.isVolatile && before?.isPlain !== false;
  }

  /** This batch with one more frame. */
  and(frame: Frame): FrameBatch {
    if (this.#next?.frame !== frame) this.#next = new FrameBatch(frame, this);
    return this.#next;
  }

  /** All frames, joined. */
  get bytes(): Buffer {
    return (this.#bytes ??= this.before === undefined ? this.frame.bytes : this.#join());
  }

  /** In the order in which they were added. */
  frames(): Frame[] {
    return framesUpTo(this);
  }

  #join(): Buffer {
    const frames = this.frames().map(({ bytes }) => bytes);
    return Buffer.concat(frames, this.length);
  }
}

function framesUpTo(last: FrameBatch): Frame[] {
  const frames: Frame[] = [];
  for (let batch: FrameBatch | undefined = last; batch !== undefined; batch = batch.before) frames.push(batch.frame);
  return frames.toReversed();
}
