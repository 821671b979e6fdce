import { decode, encode } from "notepack.io";
import { isBoundedMsgpack } from "../engine/msgpack-bounds.ts";

/** Largest message between nodes, and from @socket.io/redis-emitter. */
export const maxAdapterBytes = 1_048_576;

/** An event's data may be 32 deep; the message holds it in a packet in a list. */
const maxDepth = 40;

/** What the adapter takes for a message that concerns nobody. */
const nothing: readonly unknown[] = [];
const encodedNothing = Buffer.from([0x90]);

export interface AdapterParser {
  encode(message: unknown): Uint8Array;
  decode(bytes: Buffer): unknown;
}

/**
 * In place of the parser the Redis adapter uses: the same bytes on the wire, so that an unmodified emitter is understood,
 * but what is malformed, too deep, not of the shape that the adapter relies on, or what would make clients disconnect
 * becomes an empty message. The stock one throws into a Redis listener, which ends the process.
 *
 * `onRefused` is told why; anybody on Redis can make it be called as often as they like.
 */
export function createAdapterParser(onRefused: (reason: string) => void): AdapterParser {
  return {
    encode(message) {
      try {
        return encode(message) as Uint8Array;
      } catch {
        // A message that cannot be written, such as a circle, is lost for the other nodes; this one has delivered it.
        return encodedNothing;
      }
    },
    decode(bytes) {
      const { message, reason } = read(bytes);
      if (reason !== undefined) onRefused(reason);
      return message;
    },
  };
}

function read(bytes: Buffer): { message: unknown; reason?: string } {
  const refuse = (reason: string) => ({ message: nothing, reason });
  if (bytes.length > maxAdapterBytes) return refuse(`larger than ${maxAdapterBytes} bytes`);
  // What a node could not write.
  if (bytes.equals(encodedNothing)) return { message: nothing };
  if (!isBoundedMsgpack(bytes, maxDepth))
    return refuse("not MessagePack, nested too deeply, or containing an integer beyond 2^53");
  try {
    const message: unknown = decode(bytes);
    if (isRequest(message)) return { message };
    const reason = faultInBroadcast(message);
    return reason === undefined ? { message } : refuse(reason);
  } catch {
    // The decoder's reason names a position, which helps nobody.
    return refuse("not MessagePack");
  }
}

const eventPacket = 2;

/** Names that clients keep for themselves, by their parser; a packet that bears one makes them disconnect. */
const reservedEvents = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** Clients disconnect on more. */
const maxAttachments = 10;

/** Of `[node, packet, options]`. */
function faultInBroadcast(message: unknown): string | undefined {
  if (!Array.isArray(message) || message.length !== 3) return "neither a broadcast nor a request";
  const [, packet, options] = message as [unknown, Packet | null, Options | null];
  if (typeof packet !== "object" || packet?.type !== eventPacket) return "not an event packet";
  // With an id it would ask clients for acknowledgements, which they may not send.
  if (packet.id !== undefined) return "an event that requests acknowledgements";
  const name: unknown = Array.isArray(packet.data) ? packet.data[0] : undefined;
  if (typeof name !== "string") return "an event without a name";
  if (reservedEvents.has(name)) return "an event with a reserved name";
  const { binaries, placeholders } = countAttachments(packet.data);
  if (binaries > maxAttachments) return `an event with more than ${maxAttachments} binary attachments`;
  if (binaries > 0 && placeholders > 0)
    return "an event with binary attachments and an argument in the form of a placeholder";
  return isOptions(options) ? undefined : "an event without rooms";
}

interface Attachments {
  binaries: number;
  /** Objects that a client would take for the place of a binary. */
  placeholders: number;
}

/** Safe to recurse: the depth was checked. */
function countAttachments(value: unknown, counted: Attachments = { binaries: 0, placeholders: 0 }): Attachments {
  if (typeof value !== "object" || value === null) return counted;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) counted.binaries += 1;
  else {
    if ("_placeholder" in value) counted.placeholders += 1;
    for (const item of Object.values(value)) countAttachments(item, counted);
  }
  return counted;
}

interface Packet {
  type?: unknown;
  id?: unknown;
  data?: unknown;
}

interface Options {
  rooms?: unknown;
  except?: unknown;
  flags?: unknown;
}

function isOptions(options: Options | null): boolean {
  if (typeof options !== "object" || options === null) return false;
  const { rooms, except, flags } = options;
  return isList(rooms) && isList(except) && (flags === undefined || flags === null || typeof flags === "object");
}

const isList = (value: unknown): boolean => value === undefined || value === null || Array.isArray(value);

/** Requests and responses of the adapter; what is wrong with one shows when it is performed, and is caught there. */
function isRequest(message: unknown): boolean {
  return typeof message === "object" && message !== null && "requestId" in message && !Array.isArray(message);
}
