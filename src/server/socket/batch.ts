/** One publication as a WebSocket carries it, built once for all its readers. */
export interface Frame {
  /** Text of the Engine.IO packet, in UTF-8. */
  readonly packet: Buffer;
  /** The same as one unmasked WebSocket text frame. */
  readonly bytes: Buffer;
}

const textFrame = 0x81;

export function frameOf(packet: Buffer): Frame {
  const { length } = packet;
  const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(headerLength + length);
  bytes[0] = textFrame;
  if (headerLength === 2) bytes[1] = length;
  else if (headerLength === 4) {
    bytes[1] = 126;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = 127;
    bytes.writeUInt32BE(0, 2);
    bytes.writeUInt32BE(length, 6);
  }
  packet.copy(bytes, headerLength);
  return { packet, bytes };
}

/**
 * The frames one connection gets in one turn of the event loop. Connections that get the same frames share the batch, so
 * their bytes are joined once, whatever the number of readers, and a reader that lags holds no copy of its own.
 */
export class Batch {
  readonly frame: Frame;
  readonly before: Batch | undefined;
  readonly length: number;
  #next: Batch | undefined;
  #bytes: Buffer | undefined;

  constructor(frame: Frame, before?: Batch) {
    this.frame = frame;
    this.before = before;
    this.length = frame.bytes.length + (before?.length ?? 0);
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

  frames(): Frame[] {
    const frames: Frame[] = [];
    for (let batch: Batch | undefined = this; batch !== undefined; batch = batch.before) frames.push(batch.frame);
    return frames.reverse();
  }

  #join(): Buffer {
    const joined = Buffer.allocUnsafe(this.length);
    let end = this.length;
    for (let batch: Batch | undefined = this; batch !== undefined; batch = batch.before) {
      end -= batch.frame.bytes.length;
      batch.frame.bytes.copy(joined, end);
    }
    return joined;
  }
}
