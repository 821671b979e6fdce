import type { LivePublication, WirePublication } from "../protocol/wire.ts";
import type { ChannelItem } from "./position.ts";

/**
 * What an event of the socket brings to a channel. Channels with `"deliver": "event"` send publications under their own
 * names, as `(data, { channel, epoch, offset, publishedAt, from? }, …)`. Undefined for any other event.
 */
export function channelItem(
  event: string,
  [first, place]: readonly unknown[],
): ChannelItem | LivePublication | undefined {
  if (event === "publication" || event === "position") return first as ChannelItem;
  const { channel, publishedAt } = Object(place) as Partial<WirePublication>;
  return channel && publishedAt ? { ...(place as WirePublication), event, data: first } : undefined;
}
