import type { Position } from "../../protocol/wire.ts";

/** A virtual client that keeps its channels subscribed across disconnects, as a careful application would. */
export interface Reader {
  open(): void;
  /** Disconnects cleanly and does not reconnect. */
  close(): void;
}

/** A publication as a reader received it. */
export interface ReceivedPublication {
  /** Undefined if the target has no positions. */
  position: Position | undefined;
  event: string;
  data: unknown;
}

/** Callbacks of a reader. */
export interface ReaderObserver {
  /** Every channel is subscribed: publications from now on arrive live. Called once per connection. */
  ready(nodeId: string | undefined): void;
  /** The connection was lost. */
  lost(reason: string): void;
  /** A connection or subscription was refused, with the target's code or Socket.IO's message. The reader retries. */
  refused(code: string): void;
  /** The target announced that it closes the connection. */
  closing(code: string): void;
  /** The first subscription to a channel was acknowledged. */
  subscribed(channel: string, place: Position | undefined, snapshot: unknown): void;
  /** Missed publications cannot be recovered; the channel continues at this position. */
  reset(channel: string, place: Position, snapshot: unknown): void;
  publication(channel: string, received: ReceivedPublication): void;
}

export interface ReaderOptions {
  channels: readonly string[];
  observer: ReaderObserver;
}
