import type { TidegateErrorCode } from "./errors.ts";
import type { GatewaySocket } from "./socket.ts";

type Transports = NonNullable<GatewaySocket["io"]["opts"]["transports"]>;

/**
 * Order of transports of a connection attempt. If a proxy answers an upgrade with an error, Socket.IO tries the other
 * transport in the same attempt (`tryAllTransports`). If a proxy swallows it, the attempt times out, and the next one
 * starts with the other transport, from which Socket.IO upgrades to WebSocket if it can.
 */
export class TransportOrder {
  readonly #socket: GatewaySocket;
  readonly #preferred: Transports;
  #order: Transports;

  constructor(socket: GatewaySocket) {
    this.#socket = socket;
    this.#preferred = this.#order = (socket.io.opts.transports ?? []).slice();
  }

  /** Called before each attempt, because Socket.IO replaces the names by classes. */
  apply(): void {
    this.#socket.io.opts.transports = this.#order.slice();
  }

  connected(): void {
    this.#socket.io.engine.once("upgrade", () => (this.#order = this.#preferred));
  }

  /** Called before the failed attempt is closed. */
  failed(code: TidegateErrorCode): void {
    if (code === "timeout" && this.#isOpening) this.#order = this.#next;
    else if (code === "disconnected") this.#order = this.#preferred;
  }

  get #next(): Transports {
    const [first, ...others] = this.#order;
    return (first === undefined ? others : [...others, first]) as Transports;
  }

  get #isOpening(): boolean {
    const engine = this.#socket.io.engine as GatewaySocket["io"]["engine"] | undefined;
    return engine?.readyState === "opening";
  }
}
