/** Webhook events and their `data`. */

export const webhookEvents = [
  "session.connected",
  "session.disconnected",
  "channel.occupied",
  "channel.vacated",
  "order.status",
  "leaderboard.season",
] as const;

export type WebhookEvent = (typeof webhookEvents)[number];

/** Of `session.connected` and `session.disconnected`. */
export interface SessionHookData {
  sessionId: string;
  userId: string;
}

/** Of `channel.occupied` and `channel.vacated`. */
export interface ChannelHookData {
  channel: string;
}
