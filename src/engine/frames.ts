/** What may be done with a frame whose reader lags. */
export interface FrameOptions {
  /** A later frame with the same key makes this one needless. */
  key?: string | undefined;
  /** It may be left out altogether. */
  isVolatile?: boolean | undefined;
  /** Made for one connection: no other shares its memory, so the queue counts what it takes beside its bytes. */
  isOwn?: boolean | undefined;
}

const textCode = 0x81;
const binaryCode = 0x82;

/** Roughly what a frame takes in memory beside its bytes. */
const ownOverhead = 128;

/** One Engine.IO packet as a WebSocket carries it: one unmasked frame, built once for all its readers. */
export class Frame {
  readonly bytes: Buffer;
  readonly key: string | undefined;
  readonly isVolatile: boolean;
  readonly isOwn: boolean;
  /** Bytes that it counts for in a send queue. */
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

  /** A message that is binary. */
  static binary(data: Buffer, options: FrameOptions = {}): Frame {
    return new Frame(framed(binaryCode, data), options);
  }

  /** A control frame, or other bytes that only a WebSocket carries. */
  static raw(bytes: Buffer): Frame {
    return new Frame(bytes, {});
  }

  /** The packet as polling carries it. */
  get packet(): string {
    return (this.#packet ??= this.#unframed());
  }

  #unframed(): string {
    const start = payloadStart(this.bytes);
    if (this.bytes[0] === textCode) return this.bytes.toString("utf8", start);
    return `b${this.bytes.toString("base64", start)}`;
  }

  /** The batch of a connection that has nothing else in this tick. */
  get alone(): FrameBatch {
    return (this.#alone ??= new FrameBatch(this));
  }
}

function framed(code: number, payload: string | Buffer): Buffer {
  const length = Buffer.byteLength(payload);
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(start + length);
  bytes[0] = code;
  if (start === 2) bytes[1] = length;
  else writeLongLength(bytes, length, start);
  if (typeof payload === "string") bytes.write(payload, start, "utf8");
  else payload.copy(bytes, start);
  return bytes;
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
 * The frames that one connection gets in one tick. Connections that get the same frames share the batch, so their bytes
 * are joined once, whatever the number of readers, and a reader that lags holds no copy of its own.
 */
export class FrameBatch {
  readonly frame: Frame;
  readonly before: FrameBatch | undefined;
  readonly length: number;
  readonly cost: number;
  /** Nothing in it may be left out. */
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

  /** This batch and one more frame. */
  and(frame: Frame): FrameBatch {
    if (this.#next?.frame !== frame) this.#next = new FrameBatch(frame, this);
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

function framesUpTo(last: FrameBatch): Frame[] {
  const frames: Frame[] = [];
  for (let batch: FrameBatch | undefined = last; batch !== undefined; batch = batch.before) frames.push(batch.frame);
  return frames.toReversed();
}
