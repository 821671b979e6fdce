import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Closing } from "../protocol/closings.ts";

/** One client connection as handlers see it: who it is, and the two things that may be done to it. */
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
  emit(event: string, ...args: unknown[]): void;
  /** Says `closing`, then disconnects. Harmless when repeated. */
  close(closing: Closing): void;
}
