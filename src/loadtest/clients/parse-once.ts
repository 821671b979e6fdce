/** Reads the bytes of a Socket.IO event packet, `2["name",…]`, into its name and arguments. */
export type ParseEvent = (packet: Buffer) => unknown[];

/**
 * What goes to everybody arrives at a thousand readers of one process as the same bytes, one after the other: they are
 * read once, and readers, which change nothing, share what came of it. Comparing costs a tenth of reading.
 */
export function createParser(): ParseEvent {
  let lastPacket: Buffer = Buffer.alloc(0);
  let last: unknown[] = [];
  return (packet) => {
    if (packet.equals(lastPacket)) return last;
    last = JSON.parse(packet.toString("utf8", 1)) as unknown[];
    lastPacket = packet;
    return last;
  };
}
