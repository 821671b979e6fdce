/** Engine.IO's packet types, as the first character of a packet. */
export const packetType = {
  open: "0",
  close: "1",
  ping: "2",
  pong: "3",
  message: "4",
  upgrade: "5",
  noop: "6",
} as const;

/** Separates the packets of one HTTP body. */
const separator = "\u001e";

/**
 * Max packets of one HTTP body: more than clients send between two requests, and few enough for one tick of the event loop.
 */
const maxPacketsIn = 256;

/** Replaces a packet that cannot be parsed: Socket.IO's decoder refuses an empty message. */
export const unreadable = packetType.message;

/** The packets of a polling request. */
export function packetsOf(body: string): string[] {
  const packets = body.split(separator, maxPacketsIn + 1);
  return packets.length > maxPacketsIn ? [unreadable] : packets;
}

export const payloadOf = (packets: readonly string[]): string => packets.join(separator);

/** The binary message that a base64 packet of polling contains; undefined for other packets. */
export const binaryOf = (packet: string): Buffer | undefined =>
  packet.startsWith("b") ? Buffer.from(packet.slice(1), "base64") : undefined;
