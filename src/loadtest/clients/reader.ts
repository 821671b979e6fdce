import type { Position } from "../../protocol/wire.ts";

/** A virtual client that reads channels whatever happens to it, as a careful application would. */
export interface Reader {
  open(): void;
  /** With a goodbye, and for good. */
  close(): void;
}

/** A publication as a reader got it. */
export interface Received {
  /** Where the house numbers: its place in the channel. */
  place: Position | undefined;
  event: string;
  data: unknown;
}

/** What a reader tells of its life. */
export interface ReaderWatch {
  /** Every channel stands: what is published from now on comes live. Once a connection. */
  ready(nodeId: string | undefined): void;
  /** The connection is gone, and why. */
  lost(reason: string): void;
  /** No connection, or no subscription, and why: a code of the house, or Socket.IO's word. It tries again. */
  refused(code: string): void;
  /** The house said why it closes. */
  closing(code: string): void;
  /** The first subscription to a channel stands. */
  began(channel: string, place: Position | undefined, snapshot: unknown): void;
  /** What was missed is gone; the channel goes on at this place. */
  told(channel: string, place: Position, snapshot: unknown): void;
  publication(channel: string, received: Received): void;
}

export interface ReaderOptions {
  channels: readonly string[];
  watch: ReaderWatch;
}
