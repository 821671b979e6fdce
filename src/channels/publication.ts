/** What a publication is on its way in and what its publisher is told. */

export interface PublishRequest {
  channel: string;
  event: string;
  /** JSON in canonical form, as the gate hands it on. */
  data: string;
  /** A repeat with the same key and content answers as the first did; with other content it is a `conflict`. */
  idempotencyKey?: string | undefined;
}

export interface Published {
  channel: string;
  epoch: string;
  offset: number;
  duplicate: boolean;
}

/** As the log keeps it and subscribers read it. */
export interface Publication {
  channel: string;
  epoch: string;
  offset: number;
  event: string;
  data: unknown;
  /** Epoch milliseconds, by the store's clock. */
  publishedAt: number;
}
