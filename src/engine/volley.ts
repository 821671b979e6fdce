import type { SendEach } from "./accelerator.ts";
import type { RawSocket } from "./raw-socket.ts";
import type { Collecting } from "./turn.ts";

/** As many as a turn flushes in one go. */
const mostAtOnce = 1_024;

/**
 * The connections of a turn that get the same bytes, written to in one call of the accelerator. Nothing may be written to
 * one of them between `add` and `flush`.
 */
export class Volley implements Collecting {
  readonly #sendEach: SendEach;
  readonly #failed: (error: unknown) => void;
  readonly #descriptors = new Int32Array(mostAtOnce);
  readonly #sent = new Int32Array(mostAtOnce);
  #sockets: RawSocket[] = [];
  #bytes: Buffer | undefined;

  /** `failed` is told what the accelerator throws; then each connection is written to by itself. */
  constructor(sendEach: SendEach, failed: (error: unknown) => void) {
    this.#sendEach = sendEach;
    this.#failed = failed;
  }

  add(socket: RawSocket, bytes: Buffer): void {
    const descriptor = socket.freeDescriptor;
    if (descriptor === -1) return socket.write(bytes);
    if (bytes !== this.#bytes || this.#sockets.length === mostAtOnce) this.flush();
    this.#bytes = bytes;
    this.#descriptors[this.#sockets.length] = descriptor;
    this.#sockets.push(socket);
  }

  /** Writes what was added. */
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
