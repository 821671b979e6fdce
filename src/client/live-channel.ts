import type { InternalChannelClient } from "./channel-client.ts";
import type { ChannelState } from "./channel-reader.ts";
import type { ChannelEvents, ChannelHandle } from "./channel.ts";
import { deferred } from "./deferred.ts";
import type { Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";

/** Builds the state of a view from the events of its channel, each once and in order. */
export interface ChannelReducer {
  snapshot?(snapshot: never): void;
  publication?(publication: ChannelEvents["publication"]): void;
  entries?(entries: ChannelEvents["entries"]): void;
  changes?(changes: ChannelEvents["changes"]): void;
}

/** The parts of a channel's events that every view needs. */
interface ChannelEventParts {
  offset?: number;
  willReturn?: boolean;
  snapshot?: unknown;
}

export interface LiveStatus {
  /** `subscribed`: up to date. `recovering`: it may be out of date. */
  readonly state: ChannelState;
  /** Resolves when data is available, however long that takes; rejects if the gateway refuses permanently. */
  readonly loaded: Promise<void>;
}

export interface LiveChannel<View> {
  /** What all views of the channel show, and inherit. */
  readonly _view: LiveStatus & View;
  /** Whether the gateway refused the channel permanently. */
  _hasEnded: boolean;
  /** Called after the last view was closed. */
  readonly _cleanups: Off[];
  /** Subscribes to this channel instead of the previous one. */
  _open(name: string): void;
  /** Requests a new snapshot. */
  _reload(): void;
  _end(): void;
}

/**
 * Feeds a reducer with a channel's snapshot and publications. After a disconnect it continues from its position; if
 * missed publications are lost, it starts from a new snapshot. Others may use the same channel. `view` is what is shown
 * before the first event; `emit` receives every event of the channel.
 */
export function liveChannel<View extends object>(
  client: InternalChannelClient,
  view: View,
  reducer: ChannelReducer,
  emit?: (event: never, argument: never) => void,
): LiveChannel<View> {
  const { _promise, _resolve, _reject } = deferred();
  let channel: ChannelHandle | undefined;
  let leave: Off | undefined;
  // A refusal is also reported by the `unsubscribed` event.
  _promise.catch(() => undefined);

  const receive = (event: PropertyKey, argument: ChannelEventParts): void => {
    if (argument.willReturn === false) live._hasEnded = true;
    // Publications without an offset are not part of the state: they may repeat and are not in the snapshot.
    if (event !== "publication" || argument.offset)
      reducer[event as keyof ChannelReducer]?.((event === "snapshot" ? argument.snapshot : argument) as never);
    if (event === "snapshot") _resolve();
    emit?.(event as never, argument as never);
  };

  const state: PropertyDescriptor = { get: () => channel?.state ?? "subscribing" };

  const live: LiveChannel<View> = {
    _view: Object.defineProperties(view as View & LiveStatus, { state, loaded: { value: _promise } }),
    _hasEnded: false,
    _cleanups: [],
    _open(name) {
      if (channel?.name === name) return;
      leave?.();
      const opened = (channel = client.channel(name));
      live._hasEnded = false;
      const off = opened._onAny(receive);
      const { subscribed, release } = opened.acquire();
      leave = () => {
        off();
        void release();
        channel = undefined;
      };
      subscribed.catch((error: TidegateError) => {
        if (channel === opened) live._hasEnded = true;
        _reject(error);
      });
    },
    _reload: () => channel?._reload(),
    _end() {
      leave?.();
      for (const cleanup of live._cleanups) cleanup();
    },
  };
  return live;
}

/** Calls `listener` with the signed-in user, now if known and on every connection. */
export function onUser(client: InternalChannelClient, listener: (userId: string) => void): Off {
  if (client.ready) listener(client.ready.userId);
  return client.on("ready", ({ userId }) => listener(userId));
}
