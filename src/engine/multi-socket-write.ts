import type { SendEach } from "./accelerator.ts";

/** A network socket for writing. */
export interface SocketWriter {
  /** File descriptor for the accelerator; -1 while the socket has unsent bytes, or if it has none. */
  readonly freeDescriptor: number;
  write(bytes: Buffer): void;
  /** The kernel accepted this many bytes through `freeDescriptor`; a negative number is an errno. */
  writeRest(bytes: Buffer, sent: number): void;
}

/**
 * Writes the bytes of a tick to many sockets. Between `add` and `flush`, nothing else may be written to an added socket.
 */
export interface MultiSocketWrite {
  add(socket: SocketWriter, bytes: Buffer): void;
  flush(): void;
}

/** Writes to each socket separately. */
export const eachByItself: MultiSocketWrite = {
  add: (socket, bytes) => socket.write(bytes),
  flush: () => undefined,
};

/** Max sockets per call: as many as one tick flushes. */
const maxAtOnce = 1_024;

/** Consecutive sockets with the same bytes are written in one call of the accelerator. */
export class AcceleratedWrite implements MultiSocketWrite {
  readonly #sendEach: SendEach;
  readonly #failed: (error: unknown) => void;
  readonly #descriptors = new Int32Array(maxAtOnce);
  readonly #sent = new Int32Array(maxAtOnce);
  #sockets: SocketWriter[] = [];
  #bytes: Buffer | undefined;

  /** `failed` receives errors of the accelerator; each socket is then written separately. */
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
