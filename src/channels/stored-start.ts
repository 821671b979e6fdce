import type { Position } from "../protocol/scalars.ts";

/**
 * Who subscribed a connection if its client did not ask: its app, whatever the rules of the channel's kind, which are not
 * checked later either; or the gateway, for the user's own channel or for a backend.
 */
export type SubscribedBy = "app" | "gateway";

/** Where a subscription started, as it is stored. */
export interface StoredStart extends Position {
  by?: SubscribedBy;
}

/** Those channels that the rules of their kinds decide about. */
export const byRule = (starts: ReadonlyMap<string, StoredStart>): string[] =>
  [...starts.keys()].filter((channel) => starts.get(channel)?.by !== "app");

/** A later request for the same channel takes nothing from the one before. */
export function startAt({ epoch, offset }: Position, by?: SubscribedBy, before?: SubscribedBy): StoredStart {
  const first = before === "app" ? before : (by ?? before);
  return { epoch, offset, ...(first && { by: first }) };
}
