import type { TidegateErrorCode } from "./errors.ts";
import type { GatewaySocket } from "./socket.ts";

type Transports = NonNullable<GatewaySocket["io"]["opts"]["transports"]>;

/**
 * Which transport an attempt begins with. A proxy that answers an upgrade with an error is got round within the attempt
 * (`tryAllTransports`); one that swallows it shows only by the time that passes, so the attempt after that begins with
 * the other transport, from which Socket.IO still changes to WebSocket if it can.
 */
export class TransportOrder {
  readonly #socket: GatewaySocket;
  readonly #preferred: Transports;
  #order: Transports;

  constructor(socket: GatewaySocket) {
    this.#socket = socket;
    this.#preferred = this.#order = (socket.io.opts.transports ?? []).slice();
  }

  /** Before an attempt; Socket.IO replaces the names by classes in each. */
  apply(): void {
    this.#socket.io.opts.transports = this.#order.slice();
  }

  connected(): void {
    this.#socket.io.engine.once("upgrade", () => (this.#order = this.#preferred));
  }

  /** Called before the attempt's remains are closed. */
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
