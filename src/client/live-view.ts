import type { ChannelEvents } from "./channel.ts";
import { type Emitter, type Listener, ListenerGroup, type Off } from "./emitter.ts";
import type { ChannelState } from "./channel-reader.ts";
import type { Shareable, Reference } from "./reference-counted.ts";

/** Events of every live view. */
export interface LiveEvents {
  /** Whether it is up to date changed. */
  state: ChannelEvents["state"];
  /** The gateway refused or ended it. If that is temporary, the client subscribes again by itself. */
  unsubscribed: ChannelEvents["unsubscribed"];
}

/** The common part of all live views. */
export interface Live<Events extends LiveEvents> {
  /** `subscribed`: up to date. `recovering`: it may be out of date. */
  readonly state: ChannelState;
  /** Resolves when data is available, however long that takes; rejects if the gateway refuses permanently. */
  readonly loaded: Promise<void>;
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off;
  /** Ends this view. The last view of a channel ends its subscription. */
  close(): void;
}

/** State that is shared by all views of the same board, order or list. */
export interface SharedView<Events extends LiveEvents> extends Shareable {
  readonly emitter: Emitter<Events>;
  readonly live: { readonly state: ChannelState; readonly loaded: Promise<void> };
}

/** One user's view of shared state. */
export class LiveView<Events extends LiveEvents, Shared extends SharedView<Events>> implements Live<Events> {
  readonly on: Live<Events>["on"];
  protected readonly shared: Shared;
  readonly #listeners: ListenerGroup<Events>;
  readonly #release: () => void;

  constructor({ value, release }: Reference<Shared>) {
    this.shared = value;
    this.#release = release;
    this.#listeners = new ListenerGroup<Events>(value.emitter);
    this.on = this.#listeners.on;
  }

  get state(): ChannelState {
    return this.shared.live.state;
  }

  get loaded(): Promise<void> {
    return this.shared.live.loaded;
  }

  close(): void {
    this.#listeners.removeAll();
    this.#release();
  }
}
