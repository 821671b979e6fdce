import { Encoder, PacketType, type Packet } from "socket.io-parser";
import { maxAttachments } from "../protocol/client-requests.ts";
import { GatewayError } from "../protocol/errors.ts";
import { parseJson, parseList, tooLarge, type GateLimits } from "../protocol/gate.ts";
import { wrong } from "../protocol/parse-with.ts";
import { PartialPacket, readHeader, withAttachments, type PacketHeader } from "./attachments.ts";

/**
 * Replaces data that the gate refused: the first element of an event's data, or the key of a handshake's auth, followed by the
 * GatewayError. No client can send a symbol.
 */
export const refused = Symbol("refused");

/** Follows the arguments of each event. No client can send one. */
export class Receipt {
  /** Id of the acknowledgement that the client requested. */
  readonly id: number | undefined;
  /** Bytes of the packet. */
  readonly bytes: number;
  /** Whether the event had attachments. */
  readonly isBinary: boolean;

  constructor(id: number | undefined, bytes: number, isBinary = false) {
    this.id = id;
    this.bytes = bytes;
    this.isBinary = isBinary;
  }
}

/** A malformed packet, or one that clients may not send. Its connection is closed. */
export class ProtocolFault extends Error {}

/** Limits of `auth` before authentication: a token, and the two fields of Socket.IO's recovery. */
const authLimits: GateLimits = { maxBytes: 16_384, maxDepth: 8, maxKeys: 64 };

/** Max other namespaces that one connection may enter; those that it has left do not count. */
const maxForeignNamespaces = 32;
const maxNamespaceLength = 64;

/** Digits of an acknowledgement's id; the largest exact number has 16. */
const maxIdDigits = 16;

export interface ParserOptions {
  /** Accepts all that Socket.IO clients send: acknowledgements that nobody requested, and namespaces, which apps use. */
  acceptsAll: boolean;
  /** A client has begun with binary data, as those of another parser do. */
  onOtherParser?: (() => void) | undefined;
}

/** Parser of one Socket.IO server: the stock encoder, and a decoder that validates. */
export function createParser(
  limits: GateLimits,
  options: ParserOptions = { acceptsAll: false },
): { Encoder: typeof Encoder; Decoder: new () => GatedDecoder } {
  return {
    Encoder,
    Decoder: class extends GatedDecoder {
      constructor() {
        super(limits, options);
      }
    },
  };
}

/**
 * Decodes CONNECT, DISCONNECT and EVENT packets of the main namespace, and as many acknowledgements as were requested. Without an app, any other packet is a protocol error, detected at its first byte.
 *
 * An event that the gate refuses is answered if its client requested an acknowledgement; otherwise it is a protocol error,
 * because it cannot be refused in any other way. As an emitter it supports what Socket.IO needs: one listener, for `decoded`.
 */
export class GatedDecoder {
  readonly #limits: GateLimits;
  readonly #acceptsAll: boolean;
  readonly #onOtherParser: ParserOptions["onOtherParser"];
  /** Whether the client has entered the namespace. */
  isConnected = false;
  /** Whether the client has asked to enter the main namespace, and was not refused. */
  isEntering = false;
  /** Acknowledgements that were requested and have not arrived. */
  acknowledgementsDue = 0;
  #partial: PartialPacket | undefined;
  #foreignNamespaces = 0;
  #listener: ((packet: Packet) => void) | undefined;

  constructor(limits: GateLimits, { acceptsAll, onOtherParser }: ParserOptions) {
    this.#limits = limits;
    this.#acceptsAll = acceptsAll;
    this.#onOtherParser = onOtherParser;
  }

  on(_event: "decoded", listener: (packet: Packet) => void): void {
    this.#listener = listener;
  }

  removeListener(): void {
    this.#listener = undefined;
  }

  add(data: unknown): void {
    if (typeof data !== "string") return this.#addAttachment(data);
    if (this.#partial !== undefined) throw new ProtocolFault("An attachment is missing.");
    const header = this.#headerOf(data);
    if (header === undefined) this.#listener?.(this.#decode(data));
    else if (header.attachments === 0) this.#emit(header, [], data.length);
    else this.#partial = new PartialPacket(header);
  }

  /** Called by Socket.IO. */
  destroy(): void {
    this.#partial = undefined;
  }

  /** Undefined if `#decode` is to read the packet: an event of the main namespace, or one that is not accepted. */
  #headerOf(text: string): PacketHeader | undefined {
    const type: PacketType = text.charCodeAt(0) - 0x30;
    const isAcknowledgement = type === PacketType.ACK || type === PacketType.BINARY_ACK;
    if (type === PacketType.BINARY_EVENT && !this.#acceptsAll) return this.#binaryHeaderOf(text);
    if (!this.#acceptsAll && !(isAcknowledgement && this.acknowledgementsDue > 0)) return undefined;
    if (type <= PacketType.EVENT && text.charCodeAt(1) !== slash) return undefined;
    const header = readHeader(text);
    if (isAcknowledgement && !this.#acceptsAll) this.acknowledgementsDue -= 1;
    return header?.nsp === "/" && header.type <= PacketType.EVENT ? undefined : header;
  }

  /** Without an app an event with attachments is read too, so that it can be answered as any that nothing handles. */
  #binaryHeaderOf(text: string): PacketHeader | undefined {
    const header = this.isConnected ? readHeader(text) : undefined;
    return header?.nsp === "/" && header.attachments > 0 ? header : undefined;
  }

  #addAttachment(data: unknown): void {
    const partial = this.#partial;
    if (partial === undefined && !this.isConnected) this.#onOtherParser?.();
    if (partial === undefined || !Buffer.isBuffer(data)) throw new ProtocolFault("Binary packets are not accepted.");
    const isComplete = partial.add(data);
    // As much as a text may have.
    if (partial.bytes > 2 * this.#limits.maxBytes) throw new ProtocolFault("A binary packet is too large.");
    if (!isComplete) return;
    this.#partial = undefined;
    this.#emit(partial.header, partial.attachments, partial.bytes);
  }

  #emit({ type, nsp, id, body }: PacketHeader, attachments: readonly Buffer[], bytes: number): void {
    if (type === PacketType.DISCONNECT) return this.#leave(nsp);
    if (type === PacketType.CONNECT) return this.#enter(nsp, body);
    const list = this.#readList(body, attachments, bytes);
    // What was not asked for an answer cannot be refused in any other way.
    const isAcknowledgement = type === PacketType.ACK || type === PacketType.BINARY_ACK;
    if (list[0] === refused && (isAcknowledgement || id === undefined))
      throw new ProtocolFault((list[1] as GatewayError).message);
    if (isAcknowledgement) return this.#listener?.({ type: PacketType.ACK, nsp, id, data: list } as Packet);
    this.#listener?.({ type: PacketType.EVENT, nsp, data: [...list, new Receipt(id, bytes, attachments.length > 0)] });
  }

  #readList(body: string, attachments: readonly Buffer[], bytes: number): unknown[] {
    const { maxBytes } = this.#limits;
    if (attachments.length > maxAttachments) return [refused, tooManyAttachments()];
    if (attachments.length > 0 && bytes > maxBytes) return [refused, tooLarge(maxBytes)];
    const list = orFault(() => readArguments(body, this.#limits));
    return list[0] === refused ? list : (orFault(() => withAttachments(list, attachments)) as unknown[]);
  }

  /**
   * A handshake of another namespace waits for the rest of what has arrived with it: the one of the main namespace, which
   * can recover the connection, goes first.
   */
  #enter(nsp: string, body: string): void {
    this.#countForeign(nsp);
    const data = body === "" ? {} : readAuth(body);
    if (this.isConnected) this.#listener?.({ type: PacketType.CONNECT, nsp, data });
    else setImmediate(() => this.#listener?.({ type: PacketType.CONNECT, nsp, data }));
  }

  /** Another namespace that it asked to enter has refused the client. */
  refusedForeign(): void {
    this.#foreignNamespaces -= 1;
  }

  #leave(nsp: string): void {
    this.#foreignNamespaces -= 1;
    this.#listener?.({ type: PacketType.DISCONNECT, nsp });
  }

  #countForeign(nsp: string): void {
    this.#foreignNamespaces += 1;
    if (nsp.length > maxNamespaceLength) throw new ProtocolFault("The namespace's name is too long.");
    if (this.#foreignNamespaces > maxForeignNamespaces) throw new ProtocolFault("Too many namespaces.");
  }

  #decode(text: string): Packet {
    const type: PacketType = text.charCodeAt(0) - 0x30;
    if (type !== PacketType.EVENT && type !== PacketType.CONNECT && type !== PacketType.DISCONNECT) {
      throw new ProtocolFault("Packets of this type are not accepted.");
    }
    const namespace = namespaceOf(text);
    if (namespace !== undefined && namespace !== "/") return this.#decodeForeign(type, namespace);
    const body = text.slice(namespace === undefined ? 1 : 3);
    if (type === PacketType.EVENT) return decodeEvent(body, this.#limits);
    if (type === PacketType.CONNECT && this.isConnected) throw new ProtocolFault("The client has connected already.");
    this.isEntering = type === PacketType.CONNECT;
    if (type === PacketType.CONNECT) return decodeConnect(body);
    if (body !== "") throw new ProtocolFault("A disconnect packet must be empty.");
    this.isConnected = false;
    return { type, nsp: "/" };
  }

  /** Socket.IO itself refuses an unknown namespace. */
  #decodeForeign(type: PacketType, nsp: string): Packet {
    if (type !== PacketType.CONNECT) throw new ProtocolFault("Only the namespace / exists.");
    this.#countForeign(nsp);
    return { type, nsp };
  }
}

const slash = 0x2f;

/** An error in a packet that cannot be refused in any other way. */
function orFault<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ProtocolFault(error instanceof Error ? error.message : "The packet is malformed.");
  }
}

/** The namespace is between the type and a comma. */
function namespaceOf(text: string): string | undefined {
  if (text.charAt(1) !== "/") return undefined;
  const comma = text.indexOf(",");
  return text.slice(1, comma === -1 ? text.length : comma);
}

function decodeEvent(body: string, limits: GateLimits): Packet {
  const digits = countDigits(body);
  const id = digits === 0 ? undefined : Number(body.slice(0, digits));
  if (digits > maxIdDigits || !Number.isSafeInteger(id ?? 0))
    throw new ProtocolFault("The acknowledgement's id is too long.");
  if (body.charAt(digits) !== "[") throw new ProtocolFault("An event must be a JSON array.");
  const data = readArguments(digits === 0 ? body : body.slice(digits), limits);
  // Without an acknowledgement, it cannot be refused in any other way.
  if (id === undefined && data[0] === refused) throw new ProtocolFault((data[1] as GatewayError).message);
  // Not as the packet's id: with it, Socket.IO would write the acknowledgement itself, bypassing the connection's writer.
  return { type: PacketType.EVENT, nsp: "/", data: [...data, new Receipt(id, Buffer.byteLength(body))] };
}

function countDigits(text: string): number {
  let count = 0;
  for (let code = text.charCodeAt(0); code >= 0x30 && code <= 0x39; code = text.charCodeAt(count)) count += 1;
  return count;
}

const tooManyAttachments = (): GatewayError =>
  new GatewayError("payload_too_large", `The payload has more than ${maxAttachments} binary attachments.`);

/** Each argument is checked separately, so that a refusal names a field of the argument. */
function readArguments(json: string, limits: GateLimits): unknown[] {
  try {
    return parseList(json, limits);
  } catch (error) {
    if (error instanceof GatewayError) return [refused, error];
    throw error;
  }
}

function decodeConnect(body: string): Packet {
  const packet = { type: PacketType.CONNECT, nsp: "/" };
  return body === "" ? packet : { ...packet, data: readAuth(body) };
}

function readAuth(json: string): object {
  try {
    const auth = parseJson(json, authLimits);
    if (typeof auth === "object" && auth !== null && !Array.isArray(auth)) return auth;
    return { [refused]: wrong("auth", "must be an object") };
  } catch (error) {
    if (error instanceof GatewayError) return { [refused]: error };
    throw error;
  }
}
