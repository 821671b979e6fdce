import type { SendEach } from "./accelerator.ts";

/** A network socket that can be written to. */
export interface SocketWriter {
  /** Given to the accelerator while the socket holds nothing unsent; -1 otherwise, or if it has none. */
  readonly freeDescriptor: number;
  write(bytes: Buffer): void;
  /** The kernel took so many of the bytes through `freeDescriptor`; none, and an errno, if it is negative. */
  writeRest(bytes: Buffer, sent: number): void;
}

/**
 * Writes the bytes of a tick to many sockets. Between `add` and `flush` nothing else may be written to a socket that
 * was added.
 */
export interface MultiSocketWrite {
  add(socket: SocketWriter, bytes: Buffer): void;
  flush(): void;
}

/** Writes to each socket by itself. */
export const eachByItself: MultiSocketWrite = {
  add: (socket, bytes) => socket.write(bytes),
  flush: () => undefined,
};

/** As many as one tick flushes. */
const maxAtOnce = 1_024;

/** Sockets that get the same bytes one after the other are written to in one call of the accelerator. */
export class AcceleratedWrite implements MultiSocketWrite {
  readonly #sendEach: SendEach;
  readonly #failed: (error: unknown) => void;
  readonly #descriptors = new Int32Array(maxAtOnce);
  readonly #sent = new Int32Array(maxAtOnce);
  #sockets: SocketWriter[] = [];
  #bytes: Buffer | undefined;

  /** `failed` gets what the accelerator throws; each socket is then written to by itself. */
  constructor(sendEach: SendEach, failed: (error: unknown) => void) {
    this.#sendEach = sendEach;
    this.#failed = failed;
  }

  add(socket: SocketWriter, bytes: Buffer): void {
    const descriptor = socket.freeDescriptor;
    if (descriptor === -1) return socket.write(bytes);
    if (bytes !== this.#bytes || this.#sockets.length === maxAtOnce) this.flush();
    this.#bytes = bytes;
    this.#descriptors[this.#sockets.length] = descriptor;
    this.#sockets.push(socket);
  }

  flush(): void {
    const bytes = this.#bytes;
    if (bytes === undefined) return;
    const sockets = this.#sockets;
    this.#bytes = undefined;
    this.#sockets = [];
    this.#send(sockets.length, bytes);
    for (let place = 0; place < sockets.length; place++) {
      const sent = this.#sent[place] as number;
      if (sent !== bytes.length) sockets[place]?.writeRest(bytes, sent);
    }
  }

  #send(count: number, bytes: Buffer): void {
    this.#sent.fill(0, 0, count);
    try {
      this.#sendEach(this.#descriptors, count, bytes, this.#sent);
    } catch (error) {
      this.#failed(error);
    }
  }
}
