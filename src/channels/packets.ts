import type { LogEntry } from "./log-entry.ts";
import type { Publication, PublicationSender } from "./publication.ts";
import type { ChannelKindOptions } from "./kinds.ts";
import type { MissedEntry, StreamPosition } from "./log-entry.ts";
import type { Subscriber } from "./subscribers.ts";

/** Engine.IO packets for subscribers, as text in UTF-8. Every one with a timestamp advances a stock client's recovery. */

/** The packet of a publication from the log, identical to the one from the feed. */
export function packetOf({ json, timestamp }: Pick<LogEntry, "json" | "timestamp">): Buffer {
  return Buffer.from(`42["publication",${json},"${timestamp}"]`);
}

/** The packet with which a missed publication is recovered. */
export function recoveryPacket(
  subscriber: Subscriber,
  entry: MissedEntry,
  { deliver }: Pick<ChannelKindOptions, "deliver">,
): Buffer {
  if (isExcepted(subscriber, entry.except)) return positionPacket(entry.channel, entry);
  return deliver === "event" ? toEventPacket(packetOf(entry)) : packetOf(entry);
}

/** Instead of a publication that the subscriber must not receive, so that it sees no gap. */
export function positionPacket(channel: string, { epoch, offset, timestamp }: StreamPosition): Buffer {
  return Buffer.from(`42["position",${JSON.stringify({ channel, epoch, offset })},"${timestamp}"]`);
}

/** A publication without an offset. `publishedAt` in epoch milliseconds. */
export function livePacket(
  {
    channel,
    event,
    data,
    from,
  }: { channel: string; event: string; data: string; from?: PublicationSender | undefined },
  publishedAt: number,
): string {
  const head = `{"channel":${JSON.stringify(channel)},"event":${JSON.stringify(event)},"data":${data}`;
  return `42["publication",${head}${fromText(from)},"publishedAt":${publishedAt}}]`;
}

/** The part of a publication's JSON that names its sender. */
export const fromText = (from: PublicationSender | undefined): string =>
  from === undefined ? "" : `,"from":${JSON.stringify(from)}`;

/**
 * The packet of a publication, or of one without an offset, under its own event name for kinds that deliver events:
 * `(data, { channel, epoch, offset, publishedAt, from? }, timestamp)`.
 */
export function toEventPacket(packet: Buffer): Buffer {
  const [, publication, ...timestamp] = JSON.parse(packet.toString("utf8", 2)) as [string, Publication, ...string[]];
  const { event, data, ...place } = publication;
  return Buffer.from(`42${JSON.stringify([event, data, place, ...timestamp])}`);
}

/** True if `except` names the subscriber's connection, or its user as `user:{userId}`. */
export const isExcepted = ({ id, userId }: Subscriber, except: readonly string[] | undefined): boolean =>
  except !== undefined && (except.includes(id) || except.includes(`user:${userId}`));
