import { livePacket } from "./packets.ts";
import type { PublishRequest } from "./publication.ts";

/** One publication from the feed: its position, and the packet that is sent unchanged to every subscriber. */
export interface FeedMessage {
  epoch: string;
  offset: number;
  /** Orders publications over all channels of one Redis. */
  timestamp: number;
  /** Of the previous publication in the channel. A node with another one has received what Redis lost. */
  previousTimestamp: number;
  /** Text of the Engine.IO packet, in UTF-8: `42["publication",{…},"<timestamp>"]`. */
  packet: Buffer;
  /** Connection ids and `user:{userId}` that must not receive it. */
  except?: readonly string[] | undefined;
  /** W3C trace context of the publisher, if its trace is collected. */
  traceparent?: string | undefined;
}

/** A publication without an offset. */
export type EphemeralMessage = Pick<FeedMessage, "packet" | "except" | "traceparent">;

/** The log was removed: the position from which the channel continues. */
export interface ResetMessage {
  epoch: string;
  timestamp: number;
}

/** The feed message of an ephemeral publication: `!`, traceparent and `except` as in append.lua, and the packet. */
export function ephemeralMessage(request: PublishRequest, publishedAt: number, traceparent = ""): string {
  const except = request.except === undefined ? "" : JSON.stringify(request.except);
  return `!${partOf("t", traceparent)}${partOf("x", except)}${livePacket(request, publishedAt)}`;
}

const partOf = (letter: string, text: string): string =>
  text === "" ? "" : `${letter}${Buffer.byteLength(text)}:${text}`;

const exclamationMark = 0x21;
const tilde = 0x7e;
const letterX = 0x78;
const letterT = 0x74;
const colon = 0x3a;
const zero = 0x30;
const nine = 0x39;
const comma = Buffer.from(",");
const beforeTimestamp = Buffer.from(',"');
const afterTimestamp = Buffer.from('"]');
const beforeOffset = Buffer.from('","offset":');

/**
 * Parses the feed messages of one channel without converting them to text, because every subscribed node parses each one.
 */
export class FeedMessageReader {
  readonly #head: string;
  #epoch = "";
  /** Start of every packet of this epoch. */
  #start = Buffer.alloc(0);

  /** Start of every packet without an offset. */
  readonly #liveStart: Buffer;

  constructor(channel: string) {
    this.#liveStart = Buffer.from(`42["publication",{"channel":${JSON.stringify(channel)},"event":`);
    this.#head = `42["publication",{"channel":${JSON.stringify(channel)},"epoch":"`;
  }

  /**
   * Parses `<epoch>:<offset>:<timestamp>:<previous>:[t<bytes>:<trace>][x<bytes>:<except>]<packet>`. Returns undefined for anything else,
   * and if the packet contradicts the prefix, so that a corrupted message does not replace a publication.
   */
  read(message: Buffer): FeedMessage | undefined {
    const epochEnd = message.indexOf(colon);
    const offsetEnd = endOfNumber(message, epochEnd + 1);
    const timestampEnd = endOfNumber(message, offsetEnd + 1);
    const previousEnd = endOfNumber(message, timestampEnd + 1);
    if (epochEnd < 1 || previousEnd === -1) return undefined;
    const offset = numberIn(message, epochEnd + 1, offsetEnd);
    const timestamp = numberIn(message, offsetEnd + 1, timestampEnd);
    const previous = numberIn(message, timestampEnd + 1, previousEnd);
    if (offset < 1 || timestamp === -1 || previous === -1) return undefined;
    this.#noteEpoch(message, epochEnd);
    const trace = partIn(message, previousEnd + 1, letterT);
    const { except, end } = exceptIn(message, trace.end);
    const isWhole =
      this.#beginsRight(message, end, { from: epochEnd + 1, to: offsetEnd }) &&
      endsRight(message, { from: offsetEnd + 1, to: timestampEnd });
    if (!isWhole) return undefined;
    return {
      epoch: this.#epoch,
      offset,
      timestamp,
      previousTimestamp: previous,
      packet: message.subarray(end),
      except,
      traceparent: trace.text,
    };
  }

  /** Parses `![t<bytes>:<trace>][x<bytes>:<except>]<packet>`; undefined for anything else. */
  readEphemeral(message: Buffer): EphemeralMessage | undefined {
    if (message[0] !== exclamationMark) return undefined;
    const trace = partIn(message, 1, letterT);
    const { except, end } = exceptIn(message, trace.end);
    if (!isAt(message, end, this.#liveStart)) return undefined;
    return { packet: message.subarray(end), except, traceparent: trace.text };
  }

  /** Parses `~<epoch>:<timestamp>`; undefined for anything else. */
  readReset(message: Buffer): ResetMessage | undefined {
    const match = message[0] === tilde ? /^~(\w+):(\d{1,16})$/.exec(message.toString()) : null;
    return match === null ? undefined : { epoch: match[1] as string, timestamp: Number(match[2]) };
  }

  #noteEpoch(message: Buffer, end: number): void {
    const epochAt = this.#start.length - beforeOffset.length - this.#epoch.length;
    if (end === this.#epoch.length && isAt(message, 0, this.#start, epochAt, epochAt + end)) return;
    this.#epoch = message.toString("latin1", 0, end);
    this.#start = Buffer.concat([Buffer.from(this.#head), message.subarray(0, end), beforeOffset]);
  }

  #beginsRight(message: Buffer, place: number, offset: Span): boolean {
    const offsetAt = place + this.#start.length;
    return (
      isAt(message, place, this.#start) &&
      isAt(message, offsetAt, message, offset.from, offset.to) &&
      isAt(message, offsetAt + offset.to - offset.from, comma)
    );
  }
}

/** `x<bytes>:<except>` at `start`, and where it ends; the packet starts there. */
function exceptIn(message: Buffer, start: number): { except: readonly string[] | undefined; end: number } {
  const { text, end } = partIn(message, start, letterX);
  return { except: text === undefined ? undefined : namesIn(text), end };
}

/** `<letter><bytes>:<text>` at `start`, and where it ends. */
function partIn(message: Buffer, start: number, letter: number): { text: string | undefined; end: number } {
  const lengthEnd = message[start] === letter ? endOfNumber(message, start + 1) : -1;
  if (lengthEnd === -1) return { text: undefined, end: start };
  const end = lengthEnd + 1 + numberIn(message, start + 1, lengthEnd);
  return { text: message.toString("utf8", lengthEnd + 1, end), end };
}

function namesIn(json: string): string[] {
  try {
    const names: unknown = JSON.parse(json);
    return Array.isArray(names) ? names.filter((name) => typeof name === "string") : [];
  } catch {
    return [];
  }
}

/** A part of a message. */
interface Span {
  from: number;
  to: number;
}

function endsRight(message: Buffer, timestamp: Span): boolean {
  const timestampAt = message.length - afterTimestamp.length - (timestamp.to - timestamp.from);
  return (
    isAt(message, timestampAt - beforeTimestamp.length, beforeTimestamp) &&
    isAt(message, timestampAt, message, timestamp.from, timestamp.to) &&
    isAt(message, message.length - afterTimestamp.length, afterTimestamp)
  );
}

/** Index of the colon after the digits that start at `start`; -1 if there are none. */
function endOfNumber(message: Buffer, start: number): number {
  let end = start;
  while (isDigit(message[end])) end += 1;
  return start > 0 && end > start && message[end] === colon ? end : -1;
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= zero && byte <= nine;

/** A whole number; -1 if it is not a safe integer. */
function numberIn(message: Buffer, from: number, to: number): number {
  let value = 0;
  for (let place = from; place < to; place++) value = value * 10 + (message[place] as number) - zero;
  return Number.isSafeInteger(value) ? value : -1;
}

/** True if the message contains these bytes, or a part of them, at that place. */
function isAt(message: Buffer, place: number, bytes: Buffer, from = 0, to = bytes.length): boolean {
  for (let index = from; index < to; index++) if (message[place + index - from] !== bytes[index]) return false;
  return true;
}
