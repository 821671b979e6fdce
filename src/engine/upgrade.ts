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

/** Interval at which waiting polls are completed, because the client stops polling before it upgrades. */
const noopEveryMs = 100;

/** Max bytes of a packet: only a probe and the upgrade packet are expected. */
const maxPayload = 1_024;

/**
 * An upgrade from polling to WebSocket: the client sends a probe, receives its pong, stops polling, and upgrades. Anything else
 * closes the WebSocket, and the connection stays on polling.
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
