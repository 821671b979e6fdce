import type { InternalClient } from "./channel-client.ts";
import type { AcquiredChannel, ChannelEvents, ChannelHandle } from "./channel.ts";
import { deferred } from "./deferred.ts";
import type { Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { LiveStatus } from "./live-view.ts";

/** Builds the state of a view from the events of its channel, each once and in order. */
export type ChannelReducer = {
  [Name in "snapshot" | "publication" | "entries" | "changes"]?: (event: ChannelEvents[Name]) => void;
};

export interface LiveChannel<View> {
  /** What all views of the channel show, and inherit. */
  readonly _view: LiveStatus & View;
  /** Whether the gateway refused the channel permanently. */
  readonly _hasEnded: boolean;
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
  client: InternalClient,
  view: View,
  reducer: ChannelReducer,
  emit?: (event: never, argument: never) => void,
): LiveChannel<View> {
  const { promise, resolve, reject } = deferred();
  const cleanups: Off[] = [];
  let channel: ChannelHandle | undefined;
  let acquired: AcquiredChannel | undefined;
  let off: Off | undefined;
  let hasEnded = false;
  // A refusal is also reported by the `unsubscribed` event.
  promise.catch(() => undefined);

  const receive = (argument: { offset?: number; willReturn?: boolean }, event: PropertyKey): void => {
    if (argument.willReturn === false) hasEnded = true;
    // Publications without an offset are not part of the state: they may repeat and are not in the snapshot.
    if (event !== "publication" || argument.offset) reducer[event as keyof ChannelReducer]?.(argument as never);
    if (event === "snapshot") resolve();
    emit?.(event as never, argument as never);
  };

  const leave = (): void => {
    off?.();
    void acquired?.release();
    channel = acquired = undefined;
  };

  const state: PropertyDescriptor = { get: () => channel?.state ?? "subscribing" };

  return {
    _view: Object.defineProperties(view as View & LiveStatus, { state, loaded: { value: promise } }),
    get _hasEnded() {
      return hasEnded;
    },
    _cleanups: cleanups,
    _open(name) {
      if (channel?.name === name) return;
      leave();
      const opened = (channel = client.channel(name));
      hasEnded = false;
      off = opened._onAny(receive);
      acquired = opened.acquire();
      acquired.subscribed.catch((error: TidegateError) => {
        if (channel === opened) hasEnded = true;
        reject(error);
      });
    },
    _reload: () => channel?._subscription._reload(),
    _end() {
      leave();
      for (const cleanup of cleanups) cleanup();
    },
  };
}

/** Calls `listener` with the signed-in user, now if known and on every connection. */
export function onUser(client: InternalClient, listener: (userId: string) => void): Off {
  if (client.ready) listener(client.ready.userId);
  return client.on("ready", ({ userId }) => listener(userId));
}
