import type { Position } from "../protocol/scalars.ts";

/** A publication in a channel's log. */
export interface LogEntry {
  offset: number;
  /** Orders publications over all channels of one store. */
  timestamp: number;
  /** The publication as JSON text. */
  json: string;
  /** Connection ids and `user:{userId}` that must not receive it. */
  except?: readonly string[];
}

/** What was read of a log, and where it ends. */
export interface LogSlice {
  epoch: string;
  /** Of the last publication; 0 before the first. */
  offset: number;
  /** Of the last publication. */
  timestamp: number;
  isWhole: boolean;
  entries: LogEntry[];
}

/** A publication that a recovering connection missed. */
export interface MissedEntry extends LogEntry {
  channel: string;
  epoch: string;
}

/** A node's position in a channel, with the timestamp of the publication there (0 before the first). */
export interface StreamPosition extends Position {
  timestamp: number;
}
