import type { SendQueue } from "./send-queue.ts";

/** Why a transport ended, as Engine.IO names it. */
export type TransportEnd = "transport close" | "transport error";

/** Owner of a transport: a connection, or its upgrade attempt. */
export interface TransportOwner {
  /** Max bytes of one incoming packet or body. */
  readonly maxPayload: number;
  /** Receives the text of a packet, or a binary message. */
  receive(packet: string | Buffer): void;
  /** Sends a control frame in order. False if too many are queued. */
  control(bytes: Buffer): boolean;
  /** Writes the frames of this tick now, if the transport is writable. */
  flush(): void;
  /** The transport is writable again. */
  drained(): void;
  /** The transport ended unexpectedly. */
  ended(transport: Transport, why: TransportEnd): void;
}

/** Carries the packets of one connection. */
export interface Transport {
  readonly name: "websocket" | "polling";
  /** Whether `sendFrom` may be called. */
  readonly writable: boolean;
  /** Bytes written that are still in this process. */
  readonly waitingBytes: number;
  owner: TransportOwner;
  /**
   * Writes the first frames of the queue; with `isLast`, the transport's close after the last one. True once nothing is left
   * to write.
   */
  sendFrom(queue: SendQueue, isLast: boolean): boolean;
  /** Sends a close, if that is possible immediately, then shuts down. */
  close(): void;
  /** Ends without a close of its own, but waits briefly for the client's. */
  shut(): void;
  /** Ends immediately. */
  destroy(): void;
  pause(): void;
  resume(): void;
}
