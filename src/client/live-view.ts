import type { ChannelEvents } from "./channel.ts";
import { Emitter, type Listener, type Off } from "./emitter.ts";
import type { ChannelState } from "./channel-reader.ts";
import type { LiveChannel, LiveViewContext } from "./live-channel.ts";

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

export type Emit<Events> = <Name extends keyof Events>(name: Name, argument: Events[Name]) => void;

/** State that all views of the same board, order or list share. */
export interface SharedState<View> {
  readonly live: LiveChannel;
  /** What the view has besides the common part. */
  readonly view: Omit<View, keyof Live<LiveEvents>>;
  /** Called after the last view was closed. */
  end?(): void;
}

/** Creates the state of views of `name`; `emit` reaches the listeners of all of them. */
export type CreateState<View, Events> = (
  name: string,
  context: LiveViewContext,
  emit: Emit<Events> & Emit<LiveEvents>,
) => SharedState<View>;

interface Entry<View, Events extends object> {
  state: SharedState<View>;
  /** Of the open views. */
  emitters: Set<Emitter<Events>>;
}

/** Returns a function that opens views. Their state is created for the first of a name and ended after the last. */
export function sharedViews<View extends Live<Events>, Events extends LiveEvents>(
  create: CreateState<View, Events>,
  context: LiveViewContext,
): (name: string) => View {
  const entries = new Map<string, Entry<View, Events>>();
  const createEntry = (name: string): Entry<View, Events> => {
    const emitters = new Set<Emitter<Events>>();
    const emit: Emit<Events> = (event, argument) => {
      for (const emitter of Array.from(emitters)) emitter.emit(event, argument);
    };
    return { state: create(name, context, emit as Parameters<typeof create>[2]), emitters };
  };
  return (name) => {
    let entry = entries.get(name);
    if (entry === undefined || entry.state.live.hasEnded) entries.set(name, (entry = createEntry(name)));
    return openView(entry, () => entries.get(name) === entry && entries.delete(name));
  };
}

function openView<View, Events extends LiveEvents>({ state, emitters }: Entry<View, Events>, forget: () => void): View {
  const emitter = new Emitter<Events>();
  emitters.add(emitter);
  const common: Live<Events> = {
    get state() {
      return state.live.state;
    },
    get loaded() {
      return state.live.loaded;
    },
    on: (name, listener) => emitter.on(name, listener),
    close() {
      if (!emitters.delete(emitter) || emitters.size > 0) return;
      forget();
      state.end?.();
      state.live.end();
    },
  };
  // Descriptors, because the state is read through getters.
  return Object.defineProperties(common as View, Object.getOwnPropertyDescriptors(state.view));
}
