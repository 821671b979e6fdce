/** What a publication is on its way in and what its publisher is told. */

import type { Subscriber } from "./subscribers.ts";

/** How long idempotency keys are remembered, in every room, and deliveries of the stream. */
export const idempotencyDefaults = { ttlSeconds: 86_400, deliveryTtlSeconds: 86_400 };

export interface PublishRequest {
  channel: string;
  event: string;
  /** JSON in canonical form, as the gate hands it on. */
  data: string;
  /** A repeat with the same key and content answers as the first did; with other content it is a `conflict`. */
  idempotencyKey?: string | undefined;
  /** How long the key is remembered. @default that of the log */
  idempotencyTtlSeconds?: number | undefined;
  from?: PublicationSender | undefined;
  /** Connection ids and `user:{userId}` that receive a position instead of the publication. */
  except?: readonly string[] | undefined;
}

/** Who published. */
export interface PublicationSender {
  userId: string;
  /** Undefined for backends. */
  connectionId?: string | undefined;
  /** The public part of the session. */
  info?: unknown;
}

/** The client that publishes, and how. */
export interface PublishedBy<E extends boolean> {
  subscriber?: Subscriber | undefined;
  /** To current subscribers only. */
  isEphemeral?: E | undefined;
}

/** Answer to a publication without an offset. */
export interface EphemeralPublished {
  channel: string;
}

export interface Published {
  channel: string;
  epoch: string;
  offset: number;
  duplicate: boolean;
}

/** Outcome of a publication without an offset, of which the answer contains the channel. */
export type EphemeralResult = Pick<Published, "channel" | "duplicate">;

/** As the log keeps it and subscribers read it. */
export interface Publication {
  channel: string;
  epoch: string;
  offset: number;
  event: string;
  data: unknown;
  from?: PublicationSender;
  /** Epoch milliseconds, by the store's clock. */
  publishedAt: number;
}
