import type { Position } from "../protocol/scalars.ts";
import type { ChannelToken } from "./permissions.ts";

/**
 * Who subscribed a connection if its client did not ask: its app, whatever the rules of the channel's kind, which are not
 * checked later either; or the gateway, for the user's own channel or for a backend.
 */
export type SubscribedBy = "app" | "gateway";

/** Where a subscription started, as it is stored. */
export interface StoredStart extends Position {
  by?: SubscribedBy;
  /** The subscription token with which the client has entered. */
  token?: ChannelToken;
}

/** Those channels that the rules of their kinds decide about. */
export const byRule = (starts: ReadonlyMap<string, StoredStart>): string[] =>
  [...starts.keys()].filter((channel) => starts.get(channel)?.by !== "app");

/** A later request for the same channel takes nothing from the one before. */
export function startAt({ epoch, offset }: Position, by?: SubscribedBy, before?: SubscribedBy): StoredStart {
  const first = before === "app" ? before : (by ?? before);
  return { epoch, offset, ...(first && { by: first }) };
}

/** Those subscription tokens of a recovered connection that are still valid. */
export function tokensOf(starts: ReadonlyMap<string, StoredStart>, now: number): Map<string, ChannelToken> {
  const tokens = new Map<string, ChannelToken>();
  for (const [channel, { token }] of starts)
    if (token !== undefined && token.expiresAt > now) tokens.set(channel, token);
  return tokens;
}
