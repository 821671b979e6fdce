import type { Position } from "../../protocol/scalars.ts";
import { isGatewayEvent } from "../../protocol/reserved-events.ts";
import type { Frame } from "../../engine/frames.ts";

/** One server event, as a stream sends it. */
export interface StreamEvent {
  name: string;
  /** JSON text, on one line. */
  data: string;
  /** Of a publication: its channel, and the position once it was read. */
  at: { channel: string; position: Position } | undefined;
}

const events = new WeakMap<Frame, StreamEvent>();

/** Read once per frame, however many streams it is delivered to. */
export function eventOf(frame: Frame): StreamEvent {
  let event = events.get(frame);
  if (event === undefined) events.set(frame, (event = readEvent(frame.packet)));
  return event;
}

/** Pure. `packet` is `42["<event>",{…}]`, with or without a string at its end. */
export function readEvent(packet: string): StreamEvent {
  const nameEnd = packet.indexOf('"', 4);
  const name = packet.slice(4, nameEnd);
  const publication = isGatewayEvent(name) ? undefined : publicationIn(packet);
  if (publication !== undefined) return { name: "publication", data: publication, at: placeOf(publication) };
  const timestampAt = /\},"[^"]*"\]$/.exec(packet)?.index;
  // The argument is kept as it was written: numbers that JavaScript cannot represent stay exact.
  const data = packet.slice(nameEnd + 2, timestampAt === undefined ? -1 : timestampAt + 1);
  return { name, data, at: positioned.has(name) ? placeOf(data) : undefined };
}

const positioned = new Set(["publication", "position", "subscribed"]);

/** The publication that a kind delivers under its own event name, as JSON; undefined for any other event. */
function publicationIn(packet: string): string | undefined {
  const [event, data, place] = JSON.parse(packet.slice(2)) as [
    string,
    unknown,
    { channel?: unknown } | null | undefined,
  ];
  if (typeof place !== "object" || typeof place?.channel !== "string" || !("publishedAt" in place)) return undefined;
  return JSON.stringify({ ...place, event, data });
}

/** The position that `subscribed` names was read only once the publications that the client missed were read as well. */
function placeOf(data: string): StreamEvent["at"] {
  const event = JSON.parse(data) as { channel: string; missed?: number } & Partial<Position>;
  const { channel, epoch, offset, missed = 0 } = event;
  if (epoch === undefined || offset === undefined || missed > 0) return undefined;
  return { channel, position: { epoch, offset } };
}
