import type { Position } from "../protocol/scalars.ts";
import type { Delivery } from "./delivery-trail.ts";
import type { Publication } from "./publication.ts";
import type { Subscriber } from "./subscribers.ts";

/** State of a kind at a position: a subscriber gets it and then exactly the publications after `at`. */
export interface Snapshot {
  value: object;
  at: Position;
}

/** Reads the snapshot of one channel; throws a GatewayError where there is none to be had. */
export type TakeSnapshot = (channel: string, userId: string) => Promise<Snapshot>;

/** What `subscribe` answers. */
export interface Subscription {
  channel: string;
  epoch: string;
  offset: number;
  recovered: boolean;
  publications: Publication[];
  snapshot?: object;
  /** The channel conflates: what is sent live may leave out offsets that a later publication made needless. */
  conflated?: true;
}

export interface ChannelHistory {
  channel: string;
  epoch: string;
  offset: number;
  publications: Publication[];
}

/** Which part of a channel's log; without `since` the last ones. */
export interface HistoryQuery {
  since?: Position | undefined;
  limit?: number | undefined;
}

/** Keeps what a subscriber reads where it outlives this node, so that it can come back elsewhere. */
export interface RecoveryRecords {
  /** Resolves when it is kept; the subscription is answered after that. */
  save(subscriber: Subscriber, channel: string, start: Position): Promise<void>;
  /** Resolves when it is kept no more; the unsubscription is answered after that. */
  remove(subscriber: Subscriber, channel: string): Promise<void>;
  /** What is kept may differ from the subscriptions there are (`Channels.startsOf`): it is written anew until it does not. */
  rewrite(subscriber: Subscriber): void;
}

/** What a returning connection missed over all its channels. */
export interface RestoredSubscriptions {
  /** In timestamp order; to be written before `flow` is called. */
  packets: Buffer[];
  /** Of the last publication it has read when these are written. */
  timestamp: number;
  /** Where each channel stands when these are written. */
  positions: ReadonlyMap<string, Position>;
  /** What was missed, in the order of `packets`. */
  missed: readonly Delivery[];
  /** `Channels.mark` when the restore began. */
  deliveryCount: number;
  /** Lets go on what came meanwhile. */
  release: () => void;
}
