import type { SendQueue } from "./send-queue.ts";

/** Why a transport ended, in Engine.IO's words. */
export type TransportEnd = "transport close" | "transport error";

/** Whom a transport reads and writes for: a connection, or its attempt to upgrade. */
export interface TransportOwner {
  /** Bytes of one packet, or of one body, that may come in. */
  readonly maxPayload: number;
  /** The text of a packet, or a binary message. */
  receive(packet: string | Buffer): void;
  /** Sends a control frame in its order. False if there are too many already. */
  control(bytes: Buffer): boolean;
  /** Writes now what was added in this tick, if anything can be written. */
  flush(): void;
  /** The transport can be written to again. */
  drained(): void;
  /** The transport ended without being asked to. */
  ended(transport: Transport, why: TransportEnd): void;
}

/** How the packets of one connection travel. */
export interface Transport {
  readonly name: "websocket" | "polling";
  /** Whether `sendFrom` may be called. */
  readonly writable: boolean;
  /** Bytes that were written and wait in this process. */
  readonly waitingBytes: number;
  owner: TransportOwner;
  /**
   * Writes what comes first in the queue; with `isLast` the transport's own goodbye behind the last of it. True once
   * nothing is left to write.
   */
  sendFrom(queue: SendQueue, isLast: boolean): boolean;
  /** Says goodbye, if that can be done at once, and shuts. */
  close(): void;
  /** Ends without a word of its own, but waits a moment for the client's. */
  shut(): void;
  /** Ends at once. */
  destroy(): void;
  pause(): void;
  resume(): void;
}
