import type { Position } from "../protocol/scalars.ts";
import type { Delivery } from "./delivery-trail.ts";
import type { Publication } from "./publication.ts";
import type { Subscriber } from "./subscribers.ts";
import type { StoredStart, SubscribedBy } from "./stored-start.ts";

/** State behind a channel at a position. The subscriber receives it, then exactly the publications after `at`. */
export interface Snapshot {
  value: object;
  at: Position;
}

/** Reads the snapshot of one channel. Throws a GatewayError if there is none. */
export type TakeSnapshot = (channel: string) => Promise<Snapshot>;

/** Changes of one channel's state, in one packet. */
export interface MissedChanges {
  channel: string;
  packet: Buffer;
}

/** Keyed state of channels (`state/`). A subscriber is held from `snapshot` or `missedSince` until `resume`. */
export interface ChannelStates {
  /** Undefined for kinds without state. */
  snapshot(subscriber: Subscriber, channel: string): Promise<object> | undefined;
  /** What a connection missed that was sent everything up to the timestamp; undefined if that is not known completely. */
  missedSince(
    subscriber: Subscriber,
    channels: Iterable<string>,
    timestamp: number,
  ): Promise<MissedChanges[] | undefined>;
  /** What was read has been sent, or the request was refused. */
  resume(subscriber: Subscriber, channel: string): void;
}

/** Result of `subscribe`. */
export interface Subscription {
  channel: string;
  epoch: string;
  offset: number;
  recovered: boolean;
  publications: Publication[];
  /** Offsets of recovered publications that this connection must not receive, such as its own with `echo: false`. */
  skipped?: number[];
  snapshot?: object;
  /** Set if the channel conflates: live publications may skip offsets that a later publication replaced. */
  conflated?: true;
}

export interface ChannelHistory {
  channel: string;
  epoch: string;
  offset: number;
  publications: Publication[];
}

/** Selects a part of a channel's history; without `since`, the latest publications. */
export interface HistoryQuery {
  since?: Position | undefined;
  limit?: number | undefined;
}

/** Stores the subscriptions of a connection so that it can recover them on another node. */
export interface RecoveryRecords {
  /**
   * Resolves when the subscription is stored; undefined if the connection has no record yet. The subscribe request is
   * acknowledged after that.
   */
  save(subscriber: Subscriber, channel: string, start: StoredStart): Promise<void> | undefined;
  /** Resolves when the subscription is removed. The unsubscribe request is acknowledged after that. */
  remove(subscriber: Subscriber, channel: string): Promise<void>;
  /** The stored record may differ from `Channels.startsOf`; rewrites it until it matches. */
  rewrite(subscriber: Subscriber): void;
}

/** What a recovering connection missed, over all its channels. */
export interface RestoredSubscriptions {
  /** In timestamp order, without channels whose subscription has ended since. Write them before calling `release`. */
  packets: () => Buffer[];
  /** Of the last publication that the client has received once these are written. */
  timestamp: number;
  /** The position in each channel once these are written. */
  positions: ReadonlyMap<string, Position>;
  /** The deliveries in `packets`, in the same order. */
  missed: readonly Delivery[];
  /** `Channels.deliveryCount` when the restore began. */
  deliveryCount: number;
  /** Tells which subscriptions have ended in the meantime, and delivers what arrived. */
  release: () => void;
}

/** How a subscription begins that was not checked for permissions. */
export interface UncheckedStart {
  since?: Position | undefined;
  /** Rejects if the subscriber lost its permission while the channel was read. */
  confirm?: (() => Promise<unknown>) | undefined;
  /** If the client did not ask for it. */
  by?: SubscribedBy;
  /**
   * Starts where this node is instead of asking the log: publications on their way to the node are delivered too.
   * @default false
   */
  startsHere?: boolean;
}
