import type { ErrorBody } from "../../protocol/errors.ts";
import type { Position, SubscribeAnswer } from "../../protocol/wire.ts";

/** Response to a subscribe request. */
export type SubscribeReply =
  ({ ok: true } & Partial<SubscribeAnswer>) | { ok: false; error: Pick<ErrorBody, "code" | "retryAfterMs"> };

/** How to subscribe to channels at a target. */
export interface TargetProtocol {
  /** Client event that subscribes to a channel. */
  subscribeEvent: "subscribe" | "join";
  request(channel: string, since: Position | undefined): object;
  /** Whether it sends `ready` on each connection. */
  sendsReady: boolean;
}

/** The gateway's protocol. */
export const gatewayProtocol: TargetProtocol = {
  subscribeEvent: "subscribe",
  request: (channel, since) => (since === undefined ? { channel } : { channel, since }),
  sendsReady: true,
};

/** A plain Socket.IO server as docs/loadtest.md describes: rooms to join, without positions. */
export const plainProtocol: TargetProtocol = {
  subscribeEvent: "join",
  request: (channel) => ({ channel }),
  sendsReady: false,
};
