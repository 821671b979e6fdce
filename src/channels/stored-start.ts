import type { Position } from "../protocol/scalars.ts";

/** Where a subscription started, as it is stored. */
export interface StoredStart extends Position {
  /** The app subscribed the connection, whatever the rules of the channel's kind; they are not checked later either. */
  isByApp?: true;
}

/** Those channels that the rules of their kinds decide about. */
export const byRule = (starts: ReadonlyMap<string, StoredStart>): string[] =>
  [...starts.keys()].filter((channel) => starts.get(channel)?.isByApp !== true);

export const startAt = ({ epoch, offset }: Position, isByApp: true | undefined): StoredStart => ({
  epoch,
  offset,
  ...(isByApp && { isByApp }),
});
