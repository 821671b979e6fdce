import type { StateChanges, StateSnapshot, WirePublication } from "../protocol/wire.ts";
import type { AcquiredChannel, ChannelHandle } from "./channel.ts";
import { deferred } from "./deferred.ts";
import type { Emitter, Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { LiveEvents } from "./live-view.ts";
import type { ChannelState } from "./channel-reader.ts";
import type { SendRequest } from "./requests.ts";

/** Dependencies of live views. */
export interface LiveViewContext {
  readonly request: SendRequest;
  channel(name: string): ChannelHandle;
  /** Calls `listener` with the signed-in user, now if known and on every connection. */
  onUser(listener: (userId: string) => void): Off;
  /** Socket.IO's id of the connection; undefined while disconnected. */
  connectionId(): string | undefined;
}

/** Builds state from a channel's snapshot and publications. */
export interface ChannelReducer<Snapshot> {
  /** Replaces the state: initially, and whenever missed publications are lost. */
  reset(snapshot: Snapshot): void;
  /** Applies the next publication; each once and in order. */
  apply(publication: WirePublication): void;
  /** Replaces the keyed state, if the channel has one. */
  replace?(entries: StateSnapshot): void;
  /** Changes the keyed state. */
  change?(changes: StateChanges): void;
}

/**
 * Feeds a reducer with a channel's snapshot and publications. After a disconnect it continues from its position; if
 * missed publications are lost, it starts from a new snapshot. Others may use the same channel.
 */
export class LiveChannel<Snapshot> {
  readonly #context: LiveViewContext;
  readonly #reducer: ChannelReducer<Snapshot>;
  readonly #emitter: Emitter<LiveEvents> | undefined;
  readonly #loaded = deferred();
  #channel: ChannelHandle | undefined;
  #acquired: AcquiredChannel | undefined;
  #offs: Off[] = [];
  #hasEnded = false;

  /** `emitter` receives the channel's state changes. */
  constructor(context: LiveViewContext, reducer: ChannelReducer<Snapshot>, emitter?: Emitter<LiveEvents>) {
    this.#context = context;
    this.#reducer = reducer;
    this.#emitter = emitter;
    // A refusal is also reported by the `unsubscribed` event.
    this.loaded.catch(() => undefined);
  }

  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  get state(): ChannelState {
    return this.#channel?.state ?? "subscribing";
  }

  /** Whether the gateway refused the channel permanently. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Subscribes to this channel instead of the previous one. */
  open(name: string): void {
    if (this.#channel?.name === name) return;
    this.end();
    const channel = this.#context.channel(name);
    this.#channel = channel;
    this.#hasEnded = false;
    this.#listen(channel);
    this.#acquired = channel.acquire();
    this.#acquired.subscribed.catch((error: TidegateError) => this.#refused(channel, error));
  }

  /** Requests a new snapshot. */
  reloadSnapshot(): void {
    this.#channel?.subscription.reloadSnapshot();
  }

  end(): void {
    for (const off of this.#offs) off();
    void this.#acquired?.release();
    this.#channel = this.#acquired = undefined;
  }

  #listen(channel: ChannelHandle): void {
    this.#offs = [
      channel.on("snapshot", ({ snapshot }) => {
        this.#reducer.reset(snapshot as Snapshot);
        this.#loaded.resolve();
      }),
      channel.on("entries", (entries) => this.#reducer.replace?.(entries)),
      channel.on("changes", (changes) => this.#reducer.change?.(changes)),
      // Publications without an offset are not part of the state: they may repeat and are not in the snapshot.
      channel.on("publication", (publication) => {
        if ("offset" in publication) this.#reducer.apply(publication as WirePublication);
      }),
      channel.on("state", (change) => this.#emitter?.emit("state", change)),
      channel.on("unsubscribed", (unsubscribed) => {
        if (!unsubscribed.willReturn) this.#hasEnded = true;
        this.#emitter?.emit("unsubscribed", unsubscribed);
      }),
    ];
  }

  #refused(channel: ChannelHandle, error: TidegateError): void {
    if (this.#channel === channel) this.#hasEnded = true;
    this.#loaded.reject(error);
  }
}
