import type { ErrorBody } from "../../protocol/errors.ts";
import type { Position, SubscribeAnswer } from "../../protocol/wire.ts";

/** What a house answers to a subscription. */
export type Standing =
  ({ ok: true } & Partial<SubscribeAnswer>) | { ok: false; error: Pick<ErrorBody, "code" | "retryAfterMs"> };

/** How a house wants to be asked for a channel, and what it says by itself. */
export interface Dialect {
  /** Client event that asks for a channel. */
  ask: "subscribe" | "join";
  request(channel: string, since: Position | undefined): object;
  /** Whether it greets each connection with `ready`. */
  greets: boolean;
}

/** A gateway: docs/errors.md and the protocol's own types say the rest. */
export const gatewayDialect: Dialect = {
  ask: "subscribe",
  request: (channel, since) => (since === undefined ? { channel } : { channel, since }),
  greets: true,
};

/** A plain Socket.IO server, as docs/loadtest.md asks for: a room to join, and no places to go on from. */
export const plainDialect: Dialect = {
  ask: "join",
  request: (channel) => ({ channel }),
  greets: false,
};
