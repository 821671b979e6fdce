/** Parses a Socket.IO event packet, `2["name",…]`, into its name and arguments. */
export type ParseEvent = (packet: Buffer) => unknown[];

/**
 * A broadcast arrives at a thousand readers of one process as the same bytes, one after the other. It is parsed once
 * and the result is shared, since readers do not modify it. Comparing costs a tenth of parsing.
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
