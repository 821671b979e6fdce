import type { BoardPage, Neighbourhood, SubmittedScore } from "./board.ts";
import type { Closing } from "./closings.ts";
import type { ErrorBody, ErrorCode } from "./errors.ts";
import type { OpenOrders, OrderWithTimeline } from "./order.ts";

/**
 * Types of the client protocol: requests, answers and server events. Without schemas, so that browsers can import it. All
 * times are epoch milliseconds.
 */

/** A reader's position in a channel. Offsets start at 1 without gaps; the epoch changes if the log was lost. */
export interface Position {
  epoch: string;
  offset: number;
}

/** Who published. The gateway writes it, so no client can claim to be another. */
export interface PublicationSender {
  userId: string;
  /** Of the client's connection; absent if a backend published. */
  connectionId?: string;
  /** The public part of the session, or what the backend set. */
  info?: unknown;
}

/** One item of a channel. */
export interface WirePublication<Event extends string = string, Data = unknown> extends Position {
  channel: string;
  event: Event;
  data: Data;
  publishedAt: number;
  /** Absent if a backend published and named no user. */
  from?: PublicationSender;
}

/** The position of a publication that this connection does not receive, so that it sees no gap. */
export interface ChannelPosition extends Position {
  channel: string;
}

/** A publication delivered only to current subscribers: it is not in the log and is not recovered. */
export type LivePublication = Omit<WirePublication, keyof Position>;

export interface SubscribeRequest {
  channel: string;
  /** The reader's last position; without it the answer starts at the current one. */
  since?: Position;
  /** A subscription token, which lets its user into this channel. */
  token?: string;
}

/** `recovered`: `publications` is all that came after `since`. Otherwise it is empty and the position is the current one. */
export interface SubscribeAnswer extends Position {
  channel: string;
  recovered: boolean;
  publications: WirePublication[];
  /** Offsets after `since` that this connection does not receive. */
  skipped?: number[];
  snapshot?: unknown;
  /** The channel conflates: live publications may skip offsets that a later one supersedes. */
  conflated?: true;
}

/** Snapshot of a channel whose kind has `"merge": "append"`. */
export interface JoinedText {
  /** The data of all publications that are texts, joined in order. */
  text: string;
  /** The last publication with other data, such as the end of the text. */
  last?: { event: string; data: unknown; from?: PublicationSender };
}

export interface ChannelRequest {
  channel: string;
}

export interface PublishMessage {
  channel: string;
  event: string;
  data: unknown;
  /** A repeat with the same key is answered as the first was, with `duplicate: true`. */
  idempotencyKey?: string;
  /** `false`: not delivered to this connection. */
  echo?: boolean;
  /** Delivered to current subscribers only: without an offset, not stored, not recovered, dropped first. */
  ephemeral?: boolean;
}

/** Answer to an ephemeral publish. */
export interface EphemeralPublishAnswer {
  channel: string;
}

export interface PublishAnswer extends Position {
  channel: string;
  duplicate: boolean;
}

export interface HistoryRequest {
  channel: string;
  since?: Position;
  limit?: number;
}

export interface HistoryAnswer extends Position {
  channel: string;
  publications: WirePublication[];
}

export interface PresenceMember {
  userId: string;
  connections: number;
  /** The public part of the user's session. */
  info?: unknown;
  /** What one of the user's connections set last. */
  data?: unknown;
}

export interface PresenceAnswer {
  channel: string;
  members: PresenceMember[];
  count: number;
}

export interface PresenceChange {
  channel: string;
  joined: PresenceMember[];
  left: PresenceMember[];
  updated: PresenceMember[];
}

/** One key of a channel's state. */
export interface StateEntry<Value = unknown> {
  value: Value;
  /** Absent if a backend set it. */
  from?: PublicationSender;
  updatedAt: number;
}

/** Snapshot of a channel whose kind has `state`. */
export interface StateSnapshot<Value = unknown> {
  revision: number;
  entries: Record<string, StateEntry<Value>>;
}

export interface KeyChange<Value = unknown> {
  key: string;
  /** Null if the key was removed. */
  value: Value | null;
  /** Absent if a backend changed it, or the key expired or went with its connection. */
  from?: PublicationSender;
}

/** The last change of each key since the previous event. */
export interface StateChanges<Value = unknown> {
  channel: string;
  revision: number;
  changes: KeyChange<Value>[];
}

export interface StateSetRequest {
  channel: string;
  key: string;
  /** Null removes the key. */
  value: unknown;
  ttlSeconds?: number;
  /** True: the key is removed when this connection ends. */
  own?: boolean;
}

export interface StateSetAnswer {
  channel: string;
  key: string;
  revision: number;
}

export interface SessionEntry {
  sessionId: string;
  createdAt: number;
  lastSeenAt: number;
  /** The session this connection belongs to. */
  current: boolean;
  userAgent?: string;
  connections: number;
}

export type SessionsRevokeRequest = { sessionId: string } | { others: true };

export interface SessionsRevokeAnswer {
  revoked: number;
  disconnected: number;
}

export interface Ready {
  nodeId: string;
  userId: string;
  sessionId: string;
  expiresAt: number;
  /** Socket.IO's connection state recovery restored the subscriptions. */
  recovered: boolean;
  /**
   * Only if `recovered`: the position of each restored channel after everything sent before `ready`. A reader with another
   * position has missed something and subscribes with `since`.
   */
  positions?: ({ channel: string } & Position)[];
  serverTime: number;
}

/** A refused message without an acknowledgement, reported once per connection, event and code. */
export interface Warning {
  code: ErrorCode | "unknown_event";
  message: string;
  event: string;
}

/** The server took the subscription away. */
export interface Unsubscribed {
  channel: string;
  code: ErrorCode;
  message: string;
}

/** Client requests: the argument of each event, and the fields of its answer beside `ok`. */
export interface ClientRequests {
  subscribe: { request: SubscribeRequest; answer: SubscribeAnswer };
  unsubscribe: { request: ChannelRequest; answer: ChannelRequest };
  publish: { request: PublishMessage; answer: PublishAnswer | EphemeralPublishAnswer };
  history: { request: HistoryRequest; answer: HistoryAnswer };
  presence: { request: ChannelRequest; answer: PresenceAnswer };
  "presence:set": { request: { channel: string; data: unknown }; answer: ChannelRequest };
  "state:set": { request: StateSetRequest; answer: StateSetAnswer };
  "leaderboard:top": { request: { board: string; limit?: number; start?: number; season?: string }; answer: BoardPage };
  "leaderboard:around": {
    request: { board: string; member?: string; radius?: number; season?: string };
    answer: Neighbourhood;
  };
  "leaderboard:ranks": { request: { board: string; members: string[] }; answer: BoardPage };
  "leaderboard:submit": { request: { board: string; score: number }; answer: SubmittedScore };
  "order:get": { request: { orderId: string }; answer: OrderWithTimeline };
  "orders:list": { request: Record<string, never>; answer: OpenOrders };
  "sessions:list": { request: Record<string, never>; answer: { sessions: SessionEntry[] } };
  "sessions:revoke": { request: SessionsRevokeRequest; answer: SessionsRevokeAnswer };
  "auth:refresh": { request: { token: string }; answer: { expiresAt: number } };
}

export type RequestName = keyof ClientRequests;
export type RequestOf<Name extends RequestName> = ClientRequests[Name]["request"];
export type AnswerOf<Name extends RequestName> = ClientRequests[Name]["answer"];

/** An acknowledgement. */
export type Acknowledgement<Answer> = ({ ok: true } & Answer) | { ok: false; error: ErrorBody };

/** Client events as Socket.IO types them. */
export type ClientToServerEvents = {
  [Name in RequestName]: (
    request: RequestOf<Name>,
    acknowledge: (answer: Acknowledgement<AnswerOf<Name>>) => void,
  ) => void;
};

/** `recoveryOffset` is the string with which Socket.IO's own connection state recovery works. */
export interface ServerToClientEvents {
  ready: (ready: Ready, recoveryOffset?: string) => void;
  publication: (publication: WirePublication | LivePublication, recoveryOffset?: string) => void;
  position: (position: ChannelPosition, recoveryOffset?: string) => void;
  warning: (warning: Warning) => void;
  presence: (change: PresenceChange) => void;
  state: (changes: StateChanges) => void;
  unsubscribed: (unsubscribed: Unsubscribed) => void;
  "auth:expiring": (expiring: { expiresAt: number }) => void;
  drain: (drain: { reconnectAfterMs: number }) => void;
  closing: (closing: Closing) => void;
}

/** `data` of a `connect_error`. */
export type HandshakeRefusal = ErrorBody;
