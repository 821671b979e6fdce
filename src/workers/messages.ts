import type { Config } from "../config.ts";

/** What a worker is told when it begins. */
export interface Assignment {
  /** Its number, from 1; who replaces it gets the same. */
  worker: number;
  /** How many there are. */
  count: number;
  /** Where the workers listen for each other; theirs alone. */
  folder: string;
  /** Checked once, by the primary process, so that all workers have the same. */
  config: Config;
}

/** From the primary process to a worker. */
export type Order =
  | { type: "begin"; assignment: Assignment }
  /** How many workers are up. */
  | { type: "running"; count: number }
  /** Asks for the worker's own metrics. */
  | { type: "collect"; id: number }
  /** Answers `metrics`: those of all. */
  | { type: "metrics"; id: number; text: string }
  /** A client's line, which comes with the message, and what was read from it. */
  | { type: "line"; read: Uint8Array }
  | { type: "ping" }
  | { type: "drain" };

/** From a worker to the primary process. */
export type Report =
  /** It takes connections. */
  | { type: "ready" }
  | { type: "collected"; id: number; text: string }
  /** Asks for the metrics of all. */
  | { type: "metrics"; id: number }
  /** A client's line for another worker. */
  | { type: "line"; to: number; read: Uint8Array }
  | { type: "pong" };
