import type { Socket } from "node:net";

/** Frames between a worker and the feed hub: `<length:4><type:1><number:6><body>`; the length is that of the whole frame. */
export const frameTypes = {
  /** To the hub; the body is the key, and the number the request's. */
  subscribe: 1,
  /** To the hub; the body is the key. */
  unsubscribe: 2,
  /** The hub may be used. */
  ready: 3,
  /** Redis has confirmed the key in the body, an `HubAnswer`; the number stands for it from now on. */
  confirmed: 4,
  /** Redis has not confirmed the key in the body. */
  refused: 5,
  /** Messages may have been lost; every subscription is confirmed again. */
  restored: 6,
  /** A message of the key with the number. */
  message: 7,
} as const;

export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

const headBytes = 11;
const slabBytes = 65_536;

/** Which key the hub answers for, and which request of the worker. */
export interface HubAnswer {
  key: string;
  request: number;
}

export const answerBody = ({ key, request }: HubAnswer): Buffer => Buffer.from(`${request} ${key}`);

export function readAnswer(body: Buffer): HubAnswer {
  const text = body.toString();
  const space = text.indexOf(" ");
  return { key: text.slice(space + 1), request: Number(text.slice(0, space)) };
}

/** Consecutive bytes of a slab: one or several frames. */
export interface FrameBytes {
  slab: Buffer;
  start: number;
  end: number;
}

/** Writes frames one after another into slabs, so that the frames of a tick are sent to any number of sockets uncopied. */
export class FrameWriter {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  #end = 0;

  write(type: FrameType, number = 0, body: Buffer = none): FrameBytes {
    const length = headBytes + body.length;
    if (this.#end + length > this.#slab.length) this.#beginSlab(length);
    const [slab, start] = [this.#slab, this.#end];
    slab.writeUInt32LE(length, start);
    slab[start + 4] = type;
    slab.writeUIntLE(number, start + 5, 6);
    body.copy(slab, start + headBytes);
    this.#end += length;
    return { slab, start, end: this.#end };
  }

  #beginSlab(length: number): void {
    this.#slab = Buffer.allocUnsafeSlow(Math.max(length, slabBytes));
    this.#end = 0;
  }
}

const none = Buffer.alloc(0);

/** Sends the frames of a tick in one write. Destroys the socket, with an error, if too much waits for its peer to read. */
export class FrameSender {
  readonly #socket: Socket;
  readonly #maxQueuedBytes: number;
  #waiting: FrameBytes[] = [];

  constructor(socket: Socket, maxQueuedBytes: number) {
    this.#socket = socket;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  send(frame: FrameBytes): void {
    const last = this.#waiting.at(-1);
    if (last?.slab === frame.slab && last.end === frame.start) last.end = frame.end;
    else if (this.#waiting.push({ ...frame }) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const queued = this.#socket.writableLength;
    if (queued > this.#maxQueuedBytes) this.#socket.destroy(new Error(`${queued} bytes wait to be read`));
    if (this.#socket.destroyed) return;
    this.#socket.cork();
    for (const { slab, start, end } of waiting) {
      const bytes = slab.subarray(start, end);
      // Bytes that wait for the peer must not keep their whole slab.
      this.#socket.write(queued > 0 ? Buffer.from(bytes) : bytes);
    }
    this.#socket.uncork();
  }
}

/** Calls `onFrame` for each frame; its body is a part of what was read, not a copy. */
export function readFrames(socket: Socket, onFrame: (type: number, number: number, body: Buffer) => void): void {
  let parts: Buffer[] = [];
  let length = 0;
  let needed = headBytes;
  socket.on("data", (part: Buffer) => {
    parts.push(part);
    length += part.length;
    if (length < needed) return;
    const bytes = parts.length === 1 ? part : Buffer.concat(parts, length);
    let start = 0;
    for (needed = lengthAt(bytes, 0); start + needed <= length; needed = lengthAt(bytes, start)) {
      const end = start + needed;
      onFrame(bytes[start + 4] as number, bytes.readUIntLE(start + 5, 6), bytes.subarray(start + headBytes, end));
      start = end;
    }
    parts = start === length ? [] : [bytes.subarray(start)];
    length -= start;
  });
}

/** Of the frame at `start`; of a head if that is not whole. */
const lengthAt = (bytes: Buffer, start: number): number =>
  start + headBytes <= bytes.length ? Math.max(headBytes, bytes.readUInt32LE(start)) : headBytes;
