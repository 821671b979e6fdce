import { PacketType } from "socket.io-parser";

const packetForm = /^([0-6])(?:(\d{1,2})-)?(?:(\/[^,]{0,64})(?:,|$))?(\d{1,15})?(.*)$/s;

/** A packet that may have attachments. */
export interface PacketHeader {
  type: PacketType;
  nsp: string;
  id: number | undefined;
  /** Attachments that follow the packet. */
  attachments: number;
  body: string;
}

/** Undefined if the text is not a packet, or announces more than 99 attachments. */
export function readHeader(text: string): PacketHeader | undefined {
  const [, digit, count = "0", nsp = "/", id, body = ""] = packetForm.exec(text) ?? [];
  if (digit === undefined) return undefined;
  const type = Number(digit) as PacketType;
  const attachments = isBinary(type) ? Number(count) : 0;
  return { type, nsp, id: id === undefined ? undefined : Number(id), attachments, body };
}

const isBinary = (type: PacketType): boolean => type === PacketType.BINARY_EVENT || type === PacketType.BINARY_ACK;

/** A packet whose attachments are still arriving. */
export class PartialPacket {
  readonly header: PacketHeader;
  readonly attachments: Buffer[] = [];
  bytes: number;

  constructor(header: PacketHeader) {
    this.header = header;
    this.bytes = header.body.length;
  }

  /** Returns whether the packet is complete. */
  add(attachment: Buffer): boolean {
    this.attachments.push(attachment);
    this.bytes += attachment.length;
    return this.attachments.length === this.header.attachments;
  }
}

/** Puts attachments in place of their placeholders. Throws if one names none. The depth of `value` is bounded. */
export function withAttachments(value: unknown, attachments: readonly Buffer[]): unknown {
  if (attachments.length === 0 || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withAttachments(item, attachments));
  const { _placeholder: isPlaceholder, num } = value as { _placeholder?: unknown; num?: unknown };
  if (isPlaceholder === true) return attachmentAt(attachments, num);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withAttachments(item, attachments)]));
}

function attachmentAt(attachments: readonly Buffer[], num: unknown): Buffer {
  const attachment = typeof num === "number" ? attachments[num] : undefined;
  if (attachment === undefined) throw new Error("A placeholder names no attachment.");
  return attachment;
}
