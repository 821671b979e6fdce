import type { StateChanges, StateSnapshot, WirePublication } from "../protocol/wire.ts";
import type { AcquiredChannel, ChannelHandle } from "./channel.ts";
import { deferred } from "./deferred.ts";
import type { Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { Emit, LiveEvents } from "./live-view.ts";
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
  reset?(snapshot: Snapshot): void;
  /** Applies the next publication; each once and in order. */
  apply?(publication: WirePublication): void;
  /** Replaces the keyed state, if the channel has one. */
  replace?(entries: StateSnapshot): void;
  /** Changes the keyed state. */
  change?(changes: StateChanges): void;
}

export interface LiveChannel {
  readonly loaded: Promise<void>;
  readonly state: ChannelState;
  /** Whether the gateway refused the channel permanently. */
  readonly hasEnded: boolean;
  /** Subscribes to this channel instead of the previous one. */
  open(name: string): void;
  /** Requests a new snapshot. */
  reload(): void;
  end(): void;
}

/**
 * Feeds a reducer with a channel's snapshot and publications. After a disconnect it continues from its position; if
 * missed publications are lost, it starts from a new snapshot. Others may use the same channel. `emit` receives the
 * channel's state changes.
 */
export function liveChannel<Snapshot>(
  context: LiveViewContext,
  reducer: ChannelReducer<Snapshot>,
  emit?: Emit<LiveEvents>,
): LiveChannel {
  const loaded = deferred();
  let channel: ChannelHandle | undefined;
  let acquired: AcquiredChannel | undefined;
  let offs: Off[] = [];
  let hasEnded = false;
  // A refusal is also reported by the `unsubscribed` event.
  loaded.promise.catch(() => undefined);

  const listen = (on: ChannelHandle["on"]): Off[] => [
    on("snapshot", ({ snapshot }) => {
      reducer.reset?.(snapshot as Snapshot);
      loaded.resolve();
    }),
    on("entries", (entries) => reducer.replace?.(entries)),
    on("changes", (changes) => reducer.change?.(changes)),
    // Publications without an offset are not part of the state: they may repeat and are not in the snapshot.
    on("publication", (publication) => {
      if ("offset" in publication) reducer.apply?.(publication as WirePublication);
    }),
    on("state", (change) => emit?.("state", change)),
    on("unsubscribed", (unsubscribed) => {
      if (!unsubscribed.willReturn) hasEnded = true;
      emit?.("unsubscribed", unsubscribed);
    }),
  ];

  const end = (): void => {
    for (const off of offs) off();
    void acquired?.release();
    channel = acquired = undefined;
  };

  return {
    loaded: loaded.promise,
    get state() {
      return channel?.state ?? "subscribing";
    },
    get hasEnded() {
      return hasEnded;
    },
    open(name) {
      if (channel?.name === name) return;
      end();
      const opened = (channel = context.channel(name));
      hasEnded = false;
      offs = listen(opened.on.bind(opened));
      acquired = opened.acquire();
      acquired.subscribed.catch((error: TidegateError) => {
        if (channel === opened) hasEnded = true;
        loaded.reject(error);
      });
    },
    reload: () => channel?.subscription.reloadSnapshot(),
    end,
  };
}
