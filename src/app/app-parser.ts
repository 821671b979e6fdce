import { Encoder, PacketType, type Packet } from "socket.io-parser";
import { GatedDecoder, ProtocolFault, Receipt } from "../engine/parser.ts";
import { GatewayError } from "../protocol/errors.ts";
import { parseJson, parseList, type GateLimits } from "../protocol/gate.ts";

/** Max binary attachments of one packet. */
const maxAttachments = 10;

const packetForm = /^([0-6])(?:(\d{1,2})-)?(?:(\/[^,]{0,64})(?:,|$))?(\d{1,15})?(.*)$/s;

interface PacketHeader {
  type: PacketType;
  nsp: string;
  id: number | undefined;
  body: string;
}

/** A packet whose attachments are still arriving. */
interface PartialPacket {
  header: PacketHeader;
  attachments: Buffer[];
  missing: number;
  bytes: number;
}

/**
 * Parser of a gateway with an app, which may use more of Socket.IO than the built-in events: acknowledgements by clients,
 * binary attachments and namespaces. Built-in events are still decoded by `GatedDecoder`; everything has the same bounds.
 */
export function createAppParser(limits: GateLimits): { Encoder: typeof Encoder; Decoder: new () => GatedDecoder } {
  return {
    Encoder,
    Decoder: class extends AppDecoder {
      constructor() {
        super(limits);
      }
    },
  };
}

class AppDecoder extends GatedDecoder {
  readonly #limits: GateLimits;
  #partial: PartialPacket | undefined;
  #listener: ((packet: Packet) => void) | undefined;

  constructor(limits: GateLimits) {
    super(limits);
    this.#limits = limits;
  }

  override on(event: "decoded", listener: (packet: Packet) => void): void {
    super.on(event, listener);
    this.#listener = listener;
  }

  override add(data: unknown): void {
    if (typeof data !== "string") return this.#addAttachment(data);
    if (this.#partial !== undefined) throw new ProtocolFault("An attachment is missing.");
    const [, digit, count, nsp = "/", id, body = ""] = packetForm.exec(data) ?? [];
    const type = Number(digit) as PacketType;
    if (digit === undefined || (nsp === "/" && type <= PacketType.EVENT)) return super.add(data);
    const header = { type, nsp, id: id === undefined ? undefined : Number(id), body };
    if (isBinary(type)) this.#beginBinary(header, Number(count));
    else this.#emit(header, [], data.length);
  }

  override destroy(): void {
    this.#partial = undefined;
  }

  #beginBinary(header: PacketHeader, missing: number): void {
    if (!(missing <= maxAttachments)) throw new ProtocolFault("A binary packet has too many attachments.");
    if (missing === 0) return this.#emit(header, [], header.body.length);
    this.#partial = { header, attachments: [], missing, bytes: header.body.length };
  }

  #addAttachment(data: unknown): void {
    const partial = this.#partial;
    if (partial === undefined || !Buffer.isBuffer(data)) throw new ProtocolFault("An attachment without a packet.");
    partial.bytes += data.length;
    if (partial.bytes > this.#limits.maxBytes) throw new ProtocolFault("A binary packet is too large.");
    partial.attachments.push(data);
    partial.missing -= 1;
    if (partial.missing > 0) return;
    this.#partial = undefined;
    this.#emit(partial.header, partial.attachments, partial.bytes);
  }

  #emit({ type, nsp, id, body }: PacketHeader, attachments: readonly Buffer[], bytes: number): void {
    if (type === PacketType.DISCONNECT) return this.#listener?.({ type, nsp });
    if (type === PacketType.CONNECT) return this.#listener?.({ type, nsp, data: this.#read(body || "{}", parseJson) });
    const list = withAttachments(this.#read(body, parseList), attachments) as unknown[];
    if (type === PacketType.ACK || type === PacketType.BINARY_ACK)
      return this.#listener?.({ type: PacketType.ACK, nsp, id, data: list } as Packet);
    // Events of the main namespace go through `Dispatch`, which expects a receipt.
    const event = nsp === "/" ? { data: [...list, new Receipt(id, bytes)] } : { data: list, id };
    this.#listener?.({ type: PacketType.EVENT, nsp, ...event } as Packet);
  }

  #read<T>(text: string, parse: (text: string, limits: GateLimits) => T): T {
    try {
      return parse(text, this.#limits);
    } catch (error) {
      throw new ProtocolFault(error instanceof GatewayError ? error.message : "The packet is malformed.");
    }
  }
}

const isBinary = (type: PacketType): boolean => type === PacketType.BINARY_EVENT || type === PacketType.BINARY_ACK;

/** Puts attachments in place of their placeholders. The depth of `value` is bounded by the parser. */
function withAttachments(value: unknown, attachments: readonly Buffer[]): unknown {
  if (attachments.length === 0 || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => withAttachments(item, attachments));
  const { _placeholder: isPlaceholder, num } = value as { _placeholder?: unknown; num?: unknown };
  if (isPlaceholder === true) return attachmentAt(attachments, num);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withAttachments(item, attachments)]));
}

function attachmentAt(attachments: readonly Buffer[], num: unknown): Buffer {
  const attachment = typeof num === "number" ? attachments[num] : undefined;
  if (attachment === undefined) throw new ProtocolFault("A placeholder names no attachment.");
  return attachment;
}
