import type { WirePublication } from "../protocol/wire.ts";
import type { AcquiredChannel, ChannelHandle } from "./channel.ts";
import { deferred } from "./deferred.ts";
import type { Emitter, Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { LiveEvents } from "./live-view.ts";
import type { ChannelState } from "./reading.ts";
import type { Request } from "./requests.ts";

/** What live views need of their client. */
export interface LiveSource {
  readonly request: Request;
  channel(name: string): ChannelHandle;
  /** Hears who is signed in: now, where that is known, and with every connection. */
  onUser(listener: (userId: string) => void): Off;
}

/** Makes a state of a channel. */
export interface LiveReader<Snapshot> {
  /** The whole state: at first, and whenever what was missed is gone. */
  begin(snapshot: Snapshot): void;
  /** What follows it, each once and in order. */
  follow(publication: WirePublication): void;
}

/**
 * One channel, read from its snapshot on. Over cuts it goes on where it stood; where the gateway can no longer say what
 * was missed, it begins with a new snapshot. Others may use the channel as well.
 */
export class LiveChannel<Snapshot> {
  readonly #source: LiveSource;
  readonly #reader: LiveReader<Snapshot>;
  readonly #emitter: Emitter<LiveEvents> | undefined;
  readonly #loading = deferred();
  #channel: ChannelHandle | undefined;
  #acquired: AcquiredChannel | undefined;
  #offs: Off[] = [];
  #isOver = false;

  /** `emitter` hears of the channel's state. */
  constructor(source: LiveSource, reader: LiveReader<Snapshot>, emitter?: Emitter<LiveEvents>) {
    this.#source = source;
    this.#reader = reader;
    this.#emitter = emitter;
    // Who does not look at the promise hears of a refusal by the event.
    this.loaded.catch(() => undefined);
  }

  get loaded(): Promise<void> {
    return this.#loading.promise;
  }

  get state(): ChannelState {
    return this.#channel?.state ?? "subscribing";
  }

  /** The gateway refused it for good. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Reads this channel, in place of another where there was one. */
  open(name: string): void {
    if (this.#channel?.name === name) return;
    this.end();
    const channel = this.#source.channel(name);
    this.#channel = channel;
    this.#isOver = false;
    this.#listen(channel);
    this.#acquired = channel.acquire();
    this.#acquired.subscribed.catch((error: TidegateError) => this.#refused(channel, error));
  }

  /** Begins with a new snapshot. */
  renew(): void {
    this.#channel?.subscription.renew();
  }

  end(): void {
    for (const off of this.#offs) off();
    void this.#acquired?.release();
    this.#channel = this.#acquired = undefined;
  }

  #listen(channel: ChannelHandle): void {
    this.#offs = [
      channel.on("snapshot", ({ snapshot }) => {
        this.#reader.begin(snapshot as Snapshot);
        this.#loading.resolve();
      }),
      // What was sent past the log is no part of the state: it may repeat, and a snapshot knows nothing of it.
      channel.on("publication", (publication) => {
        if ("offset" in publication) this.#reader.follow(publication as WirePublication);
      }),
      channel.on("state", (change) => this.#emitter?.emit("state", change)),
      channel.on("unsubscribed", (unsubscribed) => {
        if (!unsubscribed.willReturn) this.#isOver = true;
        this.#emitter?.emit("unsubscribed", unsubscribed);
      }),
    ];
  }

  #refused(channel: ChannelHandle, error: TidegateError): void {
    if (this.#channel === channel) this.#isOver = true;
    this.#loading.reject(error);
  }
}
