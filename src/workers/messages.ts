import type { Config } from "../config.ts";

/** Sent to a worker when it starts. */
export interface Assignment {
  /** Its number, from 1; a replacement gets the same number. */
  worker: number;
  /** Number of workers. */
  count: number;
  /** Folder in which the workers listen for each other; private to them. */
  folder: string;
  /** Read once, by the primary process, so that all workers have the same. */
  config: Config;
}

/** From the primary process to a worker. */
export type MessageToWorker =
  | { type: "begin"; assignment: Assignment }
  /** Number of workers that accept connections. */
  | { type: "running"; count: number }
  /** Requests the worker's own metrics. */
  | { type: "collect"; id: number }
  /** Response to `metrics`: the metrics of all processes. */
  | { type: "metrics"; id: number; text: string }
  /** A client's network socket, sent along with the message, and the bytes that were already read from it. */
  | { type: "line"; read: Uint8Array }
  | { type: "ping" }
  | { type: "drain" };

/** From a worker to the primary process. */
export type MessageFromWorker =
  /** The worker accepts connections. */
  | { type: "ready" }
  | { type: "collected"; id: number; text: string }
  /** Requests the metrics of all processes. */
  | { type: "metrics"; id: number }
  /** A client's network socket for another worker. */
  | { type: "line"; to: number; read: Uint8Array }
  | { type: "pong" };
