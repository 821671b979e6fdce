import { useMemo } from "react";
import type { BoardEntry } from "../protocol/board.ts";
import type { JoinedText } from "../protocol/wire.ts";
import type { OpenOrder, Order, TimelineEntry } from "../protocol/order.ts";
import type { ChannelState } from "./channel-reader.ts";
import type { LiveEntry, LiveState } from "./channel-state.ts";
import type { Client } from "./gateway-client.ts";
import type { Leaderboard, OwnEntry } from "./leaderboard.ts";
import { useClient, useLatest, useView, type ViewStore } from "./react-context.ts";

/** A live view that ends with `close`. */
interface Closable {
  close(): void;
}

/** `open` creates a live view while a component is mounted, and `watch` listens to what changes it. */
function useLiveView<Live extends Closable, View>(
  key: string,
  open: (client: Client) => Live,
  watch: (live: Live, changed: () => void) => void,
  read: (live: Live | undefined) => View,
): View & { live: Live | undefined } {
  const client = useClient();
  const parts = useLatest({ open, watch, read });
  const store = useMemo((): ViewStore<View & { live: Live | undefined }> => {
    let view = { ...read(undefined), live: undefined as Live | undefined };
    return {
      get view() {
        return view;
      },
      open(changed) {
        const live = parts.current.open(client);
        const update = (): void => {
          view = { ...parts.current.read(live), live };
          changed();
        };
        parts.current.watch(live, update);
        update();
        return () => live.close();
      },
    };
    // `key` names the board, order or channel; the functions never change in what they do.
  }, [client, key, parts]);
  return useView(store);
}

export interface ShownLeaderboard<Data = unknown> {
  state: ChannelState;
  entries: readonly BoardEntry<Data>[];
  total: number;
  own: OwnEntry | undefined;
  /** For `submit`, `around` and `ranks`; undefined before the first rendering is complete. */
  live: Leaderboard<Data> | undefined;
}

/** A board's live top, and the user's own entry. */
export function useLeaderboard<Data = unknown>(board: string): ShownLeaderboard<Data> {
  return useLiveView<Leaderboard<Data>, Omit<ShownLeaderboard<Data>, "live">>(
    board,
    (client) => client.leaderboard<Data>(board),
    (live, changed) => [live.on("change", changed), live.on("own", changed), live.on("state", changed)],
    (live) => ({
      state: live?.state ?? "subscribing",
      entries: live?.entries ?? [],
      total: live?.total ?? 0,
      own: live?.own,
    }),
  );
}

export interface ShownOrder {
  state: ChannelState;
  /** Undefined until it is loaded. */
  order: Order | undefined;
  timeline: readonly TimelineEntry[];
  signals: Readonly<Order["signals"]>;
}

/** A live order of which the user is a party. */
export function useOrder(orderId: string): ShownOrder {
  return useLiveView(
    orderId,
    (client) => client.order(orderId),
    (live, changed) => [live.on("change", changed), live.on("signal", changed), live.on("state", changed)],
    (live): ShownOrder => ({
      state: live?.state ?? "subscribing",
      order: live?.order,
      timeline: live?.timeline ?? [],
      signals: live?.signals ?? {},
    }),
  );
}

/** The user's open orders, newest first. */
export function useOpenOrders(): { state: ChannelState; orders: readonly OpenOrder[] } {
  return useLiveView(
    "",
    (client) => client.orders(),
    (live, changed) => [live.on("change", changed), live.on("state", changed)],
    (live) => ({ state: live?.state ?? "subscribing", orders: live?.orders ?? [] }),
  );
}

export interface ShownState<Value = unknown> {
  state: ChannelState;
  /** By key; a new map after each change. */
  entries: ReadonlyMap<string, LiveEntry<Value>>;
  /** For `set` and `remove`; undefined before the first rendering is complete. */
  live: LiveState<Value> | undefined;
}

const noEntries: ReadonlyMap<string, never> = new Map<string, never>();

/** The keyed state of a channel. */
export function useChannelState<Value = unknown>(channel: string): ShownState<Value> {
  return useLiveView<LiveState<Value>, Omit<ShownState<Value>, "live">>(
    channel,
    (client) => client.stateOf<Value>(channel),
    (live, changed) => [live.on("change", changed), live.on("state", changed)],
    (live) => ({ state: live?.state ?? "subscribing", entries: live?.entries ?? noEntries }),
  );
}

/** The joined text of a channel whose kind has `"merge": "append"`, while it grows. */
export function useText(channel: string): JoinedText & { state: ChannelState } {
  return useLiveView(
    channel,
    (client) => client.textOf(channel),
    (live, changed) => [live.on("change", changed), live.on("state", changed)],
    (live): JoinedText & { state: ChannelState } => ({
      state: live?.state ?? "subscribing",
      text: live?.text ?? "",
      ...(live?.last && { last: live.last }),
    }),
  );
}
