import { GatewayError } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Kinds } from "./kinds.ts";
import type { LocalChannel } from "./local-channel.ts";
import { MessageBuffer } from "./message-buffer.ts";
import { livePacket, toEventPacket } from "./packets.ts";

export interface LiveDeliveryDeps {
  kinds: Kinds;
  localChannel: (channel: string) => LocalChannel | undefined;
  mayDeliver: () => boolean;
  clock: Clock;
}

/** Delivers packets without an offset to the subscribers on this node; while it may not deliver, it keeps them. */
export class LiveDelivery {
  readonly #deps: LiveDeliveryDeps;
  readonly #waiting = new MessageBuffer<{ channel: string; packet: Buffer }>();

  constructor(deps: LiveDeliveryDeps) {
    this.#deps = deps;
  }

  /** Throws `unknown_channel`, and `unavailable` if too much waits. `data` is JSON. */
  deliverPublication(channel: string, event: string, data: string): void {
    const { kinds, clock } = this.#deps;
    const packet = Buffer.from(livePacket({ channel, event, data }, clock.now()));
    this.deliverPacket(channel, kinds.of(channel).deliver === "event" ? toEventPacket(packet) : packet);
  }

  /** Throws as `deliverPublication`. */
  deliverPacket(channel: string, packet: Buffer): void {
    const local = this.#deps.localChannel(channel);
    if (local === undefined) return;
    if (this.#deps.mayDeliver()) local.deliverLive(packet);
    else if (!this.#waiting.add({ channel, packet })) throw tooManyWaiting();
  }

  /** Delivers what was kept. */
  resume(): void {
    for (const { channel, packet } of this.#waiting.take()) this.deliverPacket(channel, packet);
  }
}

const tooManyWaiting = (): GatewayError =>
  new GatewayError("unavailable", "Too many live messages wait until this node may deliver again.");
