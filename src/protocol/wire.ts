import type { BoardPage, Neighbourhood, SubmittedScore } from "./board.ts";
import type { Closing } from "./closings.ts";
import type { ErrorBody, ErrorCode } from "./errors.ts";
import type { OrderWithTimeline } from "./orders.ts";

/**
 * The words on the wire between a client and a node, as types: what a client asks, what it is answered, what a node
 * says by itself. Free of schemas, so that a browser can use it. All times are epoch milliseconds.
 */

/** Where a reader stands in a channel. Offsets start at 1 and have no holes; the epoch changes when the log was lost. */
export interface Position {
  epoch: string;
  offset: number;
}

/** One item of a channel. */
export interface WirePublication<Event extends string = string, Data = unknown> extends Position {
  channel: string;
  event: Event;
  data: Data;
  publishedAt: number;
}

/** What was sent to whoever is there at the moment: it has no place in the log and is not recovered. */
export type LivePublication = Omit<WirePublication, keyof Position>;

export interface SubscribeRequest {
  channel: string;
  /** Where this reader stood before; without it the answer starts at the channel's present. */
  since?: Position;
}

/** `recovered`: `publications` is all that came after `since`. Otherwise it is empty and the position is the current one. */
export interface SubscribeAnswer extends Position {
  channel: string;
  recovered: boolean;
  publications: WirePublication[];
  snapshot?: unknown;
  /** The channel conflates: publications that come live may leave out offsets, because a later one made them needless. */
  conflated?: true;
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
  /** Socket.IO's own recovery gave this connection its subscriptions back. */
  recovered: boolean;
  /**
   * Only if `recovered`: each channel that was taken up, where it stands once everything sent before `ready` is read. A
   * reader that stands elsewhere has missed something and subscribes with `since`.
   */
  positions?: ({ channel: string } & Position)[];
  serverTime: number;
}

/** The server took the subscription away. */
export interface Unsubscribed {
  channel: string;
  code: ErrorCode;
  message: string;
}

/** What a client may ask: the argument of each event, and the fields of its answer beside `ok`. */
export interface ClientRequests {
  subscribe: { request: SubscribeRequest; answer: SubscribeAnswer };
  unsubscribe: { request: ChannelRequest; answer: ChannelRequest };
  publish: { request: PublishMessage; answer: PublishAnswer };
  history: { request: HistoryRequest; answer: HistoryAnswer };
  presence: { request: ChannelRequest; answer: PresenceAnswer };
  "leaderboard:top": { request: { board: string; limit?: number; start?: number }; answer: BoardPage };
  "leaderboard:around": { request: { board: string; member?: string; radius?: number }; answer: Neighbourhood };
  "leaderboard:submit": { request: { board: string; score: number }; answer: SubmittedScore };
  "order:get": { request: { orderId: string }; answer: OrderWithTimeline };
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
  presence: (change: PresenceChange) => void;
  unsubscribed: (unsubscribed: Unsubscribed) => void;
  "auth:expiring": (expiring: { expiresAt: number }) => void;
  drain: (drain: { reconnectAfterMs: number }) => void;
  closing: (closing: Closing) => void;
}

/** What a `connect_error` carries in `data` where the server refused the handshake by name. */
export type HandshakeRefusal = ErrorBody;
