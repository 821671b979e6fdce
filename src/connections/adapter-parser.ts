import { decode, encode } from "notepack.io";
import { z } from "zod";
import { maxAttachments } from "../protocol/client-requests.ts";
import { isReservedEvent } from "../protocol/reserved-events.ts";
import { isBoundedMsgpack } from "../engine/msgpack-bounds.ts";

/** Largest message between nodes, and from @socket.io/redis-emitter. */
export const maxAdapterBytes = 1_048_576;

/** An event's data may be 32 deep; the message holds it in a packet in a list. */
const maxDepth = 40;

/** The adapter ignores this message. */
const emptyMessage: readonly unknown[] = [];
const encodedEmptyMessage = Buffer.from([0x90]);

export interface AdapterParser {
  encode(message: unknown): Uint8Array;
  decode(bytes: Buffer): unknown;
}

/**
 * Replaces the parser of the Redis adapter. The format is the same, so an unmodified emitter works, but a message that is
 * malformed, nested too deeply, of an unexpected shape, or would make clients disconnect becomes an empty message. The
 * stock parser throws inside a Redis listener, which ends the process.
 *
 * `onRefused` receives the reason; anybody with access to Redis can trigger it at any rate.
 */
export function createAdapterParser(onRefused: (reason: string) => void): AdapterParser {
  return {
    encode(message) {
      try {
        return encode(message) as Uint8Array;
      } catch {
        // A message that cannot be encoded, such as a circular one, reaches only the clients of this node.
        return encodedEmptyMessage;
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
  const refuse = (reason: string) => ({ message: emptyMessage, reason });
  if (bytes.length > maxAdapterBytes) return refuse(`larger than ${maxAdapterBytes} bytes`);
  // Sent by a node that could not encode its message.
  if (bytes.equals(encodedEmptyMessage)) return { message: emptyMessage };
  if (!isBoundedMsgpack(bytes, maxDepth))
    return refuse("not MessagePack, nested too deeply, or containing an integer beyond 2^53");
  try {
    const message: unknown = decode(bytes);
    if (isRequest(message)) return { message };
    const reason = broadcastError(message);
    return reason === undefined ? { message } : refuse(reason);
  } catch {
    // The decoder's message only contains a byte position.
    return refuse("not MessagePack");
  }
}

const eventPacket = 2;

/** Of `[node, packet, options]`. */
function broadcastError(message: unknown): string | undefined {
  if (!Array.isArray(message) || message.length !== 3) return "neither a broadcast nor a request";
  const [, packet, options] = message as [unknown, Packet | null, Options | null];
  if (typeof packet !== "object" || packet?.type !== eventPacket) return "not an event packet";
  // Whose acknowledgement nobody would wait for: those that are awaited come as requests.
  if (packet.id !== undefined) return "an event that requests acknowledgements";
  const name: unknown = Array.isArray(packet.data) ? packet.data[0] : undefined;
  if (typeof name !== "string") return "an event without a name";
  if (isReservedEvent(name)) return "an event with a reserved name";
  const { binaries, placeholders } = countAttachments(packet.data);
  if (binaries > maxAttachments) return `an event with more than ${maxAttachments} binary attachments`;
  if (binaries > 0 && placeholders > 0)
    return "an event with binary attachments and an argument in the form of a placeholder";
  return isOptions(options) ? undefined : "an event without rooms";
}

interface Attachments {
  binaries: number;
  /** Objects that a client would interpret as binary placeholders. */
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

/** Requests and responses of the adapter; they are validated before they are executed. */
function isRequest(message: unknown): boolean {
  return typeof message === "object" && message !== null && "requestId" in message && !Array.isArray(message);
}

/**
 * Requests other than broadcasts between nodes of the Redis adapter and from @socket.io/redis-emitter, as far as the
 * adapter acts on them without validation.
 */
/** Apps also name rooms by numbers, such as the ids of their users. */
const names = z.array(z.union([z.string(), z.number()]));

/** Without both lists a request would apply to every socket. */
const requestTarget = z.looseObject({ rooms: names, except: names });

const emittedEvent = z.tuple([z.string().refine((name) => !reservedServerEvents.has(name))]).rest(z.unknown());

/** Socket.IO's own events of a namespace. */
const reservedServerEvents = new Set(["connect", "connection", "new_namespace", "error"]);

/** An event that clients are to acknowledge; its id is assigned by each node. */
const broadcastWithAck = z
  .looseObject({
    type: z.literal(7),
    requestId: z.string(),
    packet: z.looseObject({ data: z.array(z.unknown()) }),
    opts: z.looseObject({
      rooms: names,
      except: names,
      flags: z.looseObject({ timeout: z.number().optional() }).optional(),
    }),
  })
  .refine(({ packet, opts }) => broadcastError([undefined, { ...packet, id: undefined }, opts]) === undefined);

const controlRequest = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal([0, 1]), requestId: z.string(), rooms: names.optional() }),
  z.looseObject({ type: z.literal([2, 3]), opts: requestTarget, rooms: names }),
  z.looseObject({ type: z.literal(4), opts: requestTarget, close: z.boolean() }),
  z.looseObject({ type: z.literal(5), requestId: z.string(), opts: requestTarget }),
  z.looseObject({ type: z.literal(6), requestId: z.string().optional(), data: emittedEvent }),
  broadcastWithAck,
]);
/** Name of a room; Socket.IO takes both for different rooms. */
export type Room = z.output<typeof names>[number];
export type ControlRequest = z.output<typeof controlRequest>;

const controlResponse = z.looseObject({ requestId: z.string() });

/** Undefined if it is none. */
export const toControlRequest = (value: unknown): ControlRequest | undefined => controlRequest.safeParse(value).data;
export const isControlResponse = (value: unknown): boolean => controlResponse.safeParse(value).success;
