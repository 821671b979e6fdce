import { decode, encode } from "notepack.io";
import { isBoundedMsgpack } from "./msgpack-bounds.ts";

/** Largest message between nodes, and from @socket.io/redis-emitter. */
export const maxAdapterBytes = 1_048_576;

/** An event's data may be 32 deep; the message holds it in a packet in a list. */
const maxDepth = 40;

/** What the adapter takes for a message that concerns nobody. */
const nothing: readonly unknown[] = [];
const encodedNothing = Buffer.from([0x90]);

/**
 * In place of the parser the Redis adapter uses: the same bytes on the wire, so that an unmodified emitter is understood,
 * but what is malformed, too deep or not of the shape that the adapter relies on becomes an empty message. The stock one
 * throws into a Redis listener, which ends the process.
 */
export const safeAdapterParser = {
  encode(message: unknown): Uint8Array {
    try {
      return encode(message) as Uint8Array;
    } catch {
      // A message that cannot be written, such as a circle, is lost for the other nodes; this one has delivered it.
      return encodedNothing;
    }
  },
  decode(bytes: Buffer): unknown {
    if (bytes.length > maxAdapterBytes || !isBoundedMsgpack(bytes, maxDepth)) return nothing;
    try {
      const message: unknown = decode(bytes);
      return isBroadcast(message) || isRequest(message) ? message : nothing;
    } catch {
      // Strangers on the channel are counted by whoever owns Redis; a line for each would help them fill our log.
      return nothing;
    }
  },
};

const eventPacket = 2;

/** `[node, packet, options]` */
function isBroadcast(message: unknown): boolean {
  if (!Array.isArray(message) || message.length !== 3) return false;
  const [, packet, options] = message as [unknown, Packet | null, Options | null];
  // With an id it would ask clients for acknowledgements, which they may not send.
  if (typeof packet !== "object" || packet?.type !== eventPacket || packet.id !== undefined) return false;
  const name: unknown = Array.isArray(packet.data) ? packet.data[0] : undefined;
  return typeof name === "string" && isOptions(options);
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
