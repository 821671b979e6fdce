import type { InternalChannelClient } from "./channel-client.ts";
import type { ChannelEvents } from "./channel.ts";
import { createEmitter, type Emitter, type Listener, type Off } from "./emitter.ts";
import type { LiveChannel, LiveStatus } from "./live-channel.ts";

/** Events of every live view. */
export interface LiveEvents {
  /** Whether it is up to date changed. */
  state: ChannelEvents["state"];
  /** The gateway refused or ended it. If that is temporary, the client subscribes again by itself. */
  unsubscribed: ChannelEvents["unsubscribed"];
}

/** The common part of all live views. */
export interface Live<Events extends LiveEvents> extends LiveStatus {
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off;
  /** Ends this view. The last view of a channel ends its subscription. */
  close(): void;
}

export type Emit<Events> = <Name extends keyof Events>(name: Name, argument: Events[Name]) => void;

/** What a view shows besides the common part; its state changes it. */
export type Shown<View> = { -readonly [Name in keyof Omit<View, keyof Live<LiveEvents>>]: View[Name & keyof View] };

/** Creates the state of views of `name`; `emit` reaches the listeners of all of them. */
export type CreateState<View, Events> = (
  name: string,
  client: InternalChannelClient,
  emit: Emit<Events>,
) => LiveChannel<Shown<View>>;

/** Its listeners are the open views. */
interface SharedView<View, Events extends object> extends Emitter<Events> {
  readonly _live: LiveChannel<Shown<View>>;
}

/** Returns a function that opens views. Their state is created for the first of a name and ended after the last. */
export function sharedViews<View extends Live<Events>, Events extends LiveEvents>(
  create: CreateState<View, Events>,
  client: InternalChannelClient,
): (name?: string) => View {
  const shared = new Map<string, SharedView<View, Events>>();
  return (name = "") => {
    let entry = shared.get(name);
    if (!entry || entry._live._hasEnded) {
      const emitter = createEmitter<Events>();
      shared.set(name, (entry = { ...emitter, _live: create(name, client, emitter.emit) }));
    }
    const { _live, _onAny, _hasListeners } = entry;
    const { on, emit } = createEmitter<Events>();
    const off = _onAny(emit);
    const close = (): void => {
      off();
      if (_hasListeners()) return;
      if (shared.get(name) === entry) shared.delete(name);
      _live._end();
    };
    return Object.assign(Object.create(_live._view) as View, { on, close });
  };
}
