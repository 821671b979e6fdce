import type { ChannelEvents } from "./channel.ts";
import { type Emitter, type Listener, Listeners, type Off } from "./emitter.ts";
import type { ChannelState } from "./reading.ts";
import type { Sharable, Taken } from "./shared.ts";

/** What every live view tells. */
export interface LiveEvents {
  /** Whether it is up to date. */
  state: ChannelEvents["state"];
  /** The gateway refused it or took it away. Where that passes, the client comes back by itself. */
  unsubscribed: ChannelEvents["unsubscribed"];
}

/** What every live view is. */
export interface Live<Events extends LiveEvents> {
  /** `subscribed`: up to date. `recovering`: what it shows may be old. */
  readonly state: ChannelState;
  /** Resolves when there is something to show, however long that takes; rejects where the gateway refuses for good. */
  readonly loaded: Promise<void>;
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off;
  /** Ends this view. The channel is left with the last view of it. */
  close(): void;
}

/** What a client knows of one live thing, whoever looks at it. */
export interface LiveReading<Events extends LiveEvents> extends Sharable {
  readonly emitter: Emitter<Events>;
  readonly live: { readonly state: ChannelState; readonly loaded: Promise<void> };
}

/** One user's view of it; others may have theirs. */
export class LiveView<Events extends LiveEvents, Reading extends LiveReading<Events>> implements Live<Events> {
  readonly on: Live<Events>["on"];
  protected readonly reading: Reading;
  readonly #listeners: Listeners<Events>;
  readonly #release: () => void;

  constructor({ thing, release }: Taken<Reading>) {
    this.reading = thing;
    this.#release = release;
    this.#listeners = new Listeners<Events>(thing.emitter);
    this.on = this.#listeners.on;
  }

  get state(): ChannelState {
    return this.reading.live.state;
  }

  get loaded(): Promise<void> {
    return this.reading.live.loaded;
  }

  close(): void {
    this.#listeners.end();
    this.#release();
  }
}
