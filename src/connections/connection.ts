import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Closing } from "../protocol/closings.ts";

/** One client connection as the rest of the gateway sees it: who it is, and the few things that may be done to it. */
export interface Connection {
  /** Socket.IO's socket id. */
  readonly id: string;
  /** Replaced by `auth:refresh`. */
  identity: Identity;
  /** The client's address, behind trusted proxies the one they report. */
  readonly address: string;
  readonly userAgent: string | undefined;
  /** What `channels` delivers to. */
  readonly subscriber: Subscriber;
  /** False from `close`, or from the client's leaving, on: nothing is sent to it or taken from it any more. */
  readonly isOpen: boolean;
  emit(event: string, ...args: unknown[]): void;
  /** The acknowledgement of a message of the client's, by the number it gave. */
  answer(id: number, answer: object): void;
  /** Lets what other programs send to the channel with @socket.io/redis-emitter reach this connection. */
  join(channel: string): void;
  leave(channel: string): void;
  /** Leaves in the network what the client sends, where the transport can, until `readOn`. */
  stopReading(): void;
  readOn(): void;
  /** Where `act` closes the connection that asked for it, its answer goes before the goodbye. */
  answerFirst<T>(act: () => Promise<T>): Promise<T>;
  /** Says `closing`, then disconnects. Harmless when repeated. */
  close(closing: Closing): void;
}
