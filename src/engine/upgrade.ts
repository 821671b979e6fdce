import type { Cancel, Clock } from "../runtime/clock.ts";
import { ControlBudget } from "./control-budget.ts";
import type { EngineSocket } from "./engine-socket.ts";
import { Frame } from "./frames.ts";
import { packetType } from "./packets.ts";
import type { PollingTransport } from "./polling-transport.ts";
import type { Transport, TransportOwner } from "./transport.ts";
import type { WebSocketTransport } from "./websocket-transport.ts";

const probe = "probe";
const pong = Frame.text(packetType.pong + probe).bytes;

/** Between two answers that let a client's poll go empty: it stops polling before it upgrades. */
const noopEveryMs = 100;

/** Bytes of a packet: a probe and the word to upgrade are all that may come. */
const maxPayload = 1_024;

/**
 * A connection on polling that tries a WebSocket: it pings on it, gets its pong, stops polling, and upgrades. Anything
 * else closes the WebSocket, and the connection stays with polling.
 */
export class UpgradeAttempt implements TransportOwner {
  readonly maxPayload = maxPayload;
  readonly #socket: EngineSocket;
  readonly #polling: PollingTransport;
  readonly #clock: Clock;
  readonly #control = new ControlBudget();
  readonly #cancelTimeout: Cancel;
  #cancelNoops: Cancel | undefined;
  #transport!: WebSocketTransport;

  constructor(
    { socket, polling }: { socket: EngineSocket; polling: PollingTransport },
    { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
  ) {
    this.#socket = socket;
    this.#polling = polling;
    this.#clock = clock;
    this.#cancelTimeout = clock.after(timeoutMs, () => this.cancel());
    socket.upgrade = this;
  }

  /** Made after its owner. */
  begin(transport: WebSocketTransport): void {
    this.#transport = transport;
  }

  receive(packet: string | Buffer): void {
    if (packet === packetType.ping + probe) this.#probed();
    else if (packet === packetType.upgrade) this.#complete();
    else this.cancel();
  }

  control(bytes: Buffer): boolean {
    if (!this.#control.take(this.#clock.monotonic())) return false;
    this.#transport.write(bytes);
    return true;
  }

  flush(): void {}
  drained(): void {}

  ended(_transport: Transport): void {
    this.#over();
  }

  cancel(): void {
    this.#over();
    this.#transport.close();
  }

  #probed(): void {
    this.#transport.write(pong);
    this.#socket.emit("upgrading", this.#transport);
    this.#cancelNoops?.();
    this.#cancelNoops = this.#clock.every(noopEveryMs, () => this.#polling.sendNoop());
    this.#polling.sendNoop();
  }

  #complete(): void {
    this.#over();
    this.#socket.switchTo(this.#transport);
  }

  #over(): void {
    this.#cancelTimeout();
    this.#cancelNoops?.();
    if (this.#socket.upgrade === this) this.#socket.upgrade = undefined;
  }
}
