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

/** A packet as Engine.IO shows it to applications; what is none of its packets is an `error` there. */
export function describePacket(packet: string | Buffer): { type: string; data?: string | Buffer } {
  if (typeof packet !== "string") return { type: "message", data: packet };
  const binary = binaryOf(packet);
  if (binary !== undefined) return { type: "message", data: binary };
  const data = packet.slice(1);
  return { type: typeNames.get(packet.charAt(0)) ?? "error", ...(data !== "" && { data }) };
}

const typeNames = new Map(Object.entries(packetType).map(([name, code]): [string, string] => [code, name]));

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
