import type { Command } from "./commands.ts";

/** What a command is about. Commands of one subject take effect in the order in which they came. */
export function subjectOfCommand(about: Command): string {
  switch (about.type) {
    case "publish":
      return about.channel;
    case "order.create":
    case "order.update":
    case "order.event":
    case "order.signal":
      return `order:${about.orderId}`;
    case "score.submit":
      return `score:${about.board}:${about.member}`;
    case "session.update":
    case "session.revoke":
      return `session:${about.sessionId}`;
    case "user.disconnect":
      return `user:${about.userId}`;
  }
}

/** Max partitions of the commands stream. */
export const maxPartitions = 64;

/** The partition of the commands stream for a subject: its CRC-16/XMODEM, as of Redis Cluster's slots, modulo their number. */
export function partitionOf(subject: string, partitions: number): number {
  return partitions === 1 ? 0 : crc16(new TextEncoder().encode(subject)) % partitions;
}

function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}
