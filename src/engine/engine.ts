import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { parser, Server as EngineServer, Transport, type Socket as EngineSocket } from "engine.io";
import type { Clock } from "../runtime/clock.ts";
import type { Siblings } from "./siblings/siblings.ts";
import type { ErrorReporter } from "../connections/error-reporter.ts";
import { inOneWriteNow } from "./raw-socket.ts";

/**
 * Packets of one HTTP body: more than any client has to say between two requests, and few enough to take in one turn
 * of the event loop.
 */
const maxPacketsIn = 256;

/** The stock Python client breaks off at more than 16 packets in one answer; the close packet may be added to ours. */
const maxPacketsOut = 15;

const separator = "\u001e";

type Packet = ReturnType<typeof parser.decodePacket>;

/**
 * Stands for what cannot be read. Engine.IO would close without a word; as an empty message it goes on to our Socket.IO
 * decoder, which refuses it by name.
 */
const unreadable: Packet = { type: "message", data: "" };

/** Engine.IO's parser, with its answers to nonsense made readable and the packets of a payload counted. */
const boundedParser = {
  ...parser,
  decodePacket(encoded: Parameters<typeof parser.decodePacket>[0]): Packet {
    const packet = parser.decodePacket(encoded);
    return packet.type === "error" || isClientPing(packet) ? unreadable : packet;
  },
  decodePayload(payload: string): Packet[] {
    const encoded = payload.split(separator, maxPacketsIn + 1);
    return encoded.length > maxPacketsIn ? [unreadable] : encoded.map((text) => boundedParser.decodePacket(text));
  },
};

/** In this revision of the protocol servers ping. A client does so once, to try a transport before it upgrades. */
function isClientPing(packet: Packet): boolean {
  return packet.type === "ping" && packet.data !== "probe";
}

/**
 * Packets that are no messages, such as the answer to a ping: what a connection may send at once, and a second. No limit
 * of messages sees them, and each costs a little; a client has one to say in twenty-five seconds.
 */
const control = { capacity: 16, perSecond: 1 };

/** A transport that has sent such packets; without them it carries nothing on top. */
type CountedTransport = Transport & { controlLeft?: number; controlAt?: number };

function mayControl(transport: CountedTransport, now: number): boolean {
  const gained = ((now - (transport.controlAt ?? now)) / 1_000) * control.perSecond;
  transport.controlLeft = Math.min(control.capacity, (transport.controlLeft ?? control.capacity) + gained) - 1;
  transport.controlAt = now;
  return transport.controlLeft >= 0;
}

/** Of the library, as it is not typed. */
const { onPacket } = Transport.prototype as unknown as { onPacket(this: Transport, packet: Packet): void };

/** One function for all connections, in place of a transport's own. */
function boundedOnPacket(clock: Clock) {
  return function (this: CountedTransport, packet: Packet): void {
    const isTooMuch = packet.type !== "message" && !mayControl(this, clock.monotonic());
    onPacket.call(this, isTooMuch ? unreadable : packet);
  };
}

/** Bytes of one frame, or polling body, of a connection that has not authenticated: a token and a little more. */
export const pendingFrameBytes = 16_384;

/** What of a transport bounds its frames. */
interface FrameBound {
  name: string;
  /** Of polling. */
  maxHttpBufferSize?: number;
  /** Of a WebSocket. */
  socket?: { _receiver?: { _maxPayload?: number } };
}

function boundFrames(transport: Transport, bytes: number): void {
  const { name, socket } = transport as unknown as FrameBound;
  if (name === "polling") Object.assign(transport, { maxHttpBufferSize: bytes });
  else Object.assign(socket?._receiver ?? {}, { _maxPayload: bytes });
}

/** One function for all connections, on the socket that upgraded. */
function boundUpgraded(this: EngineSocket, transport: Transport): void {
  boundFrames(transport, maxFrameBytesOf(this));
}

/** What clients are told as `maxPayload`. */
const maxFrameBytesOf = (socket: EngineSocket): number =>
  (socket as unknown as { server: { opts: { maxHttpBufferSize: number } } }).server.opts.maxHttpBufferSize;

/** The connection has authenticated: its frames may be as large as it was told, on this transport and the next. */
export function allowFullFrames(socket: EngineSocket): void {
  boundFrames(socket.transport, maxFrameBytesOf(socket));
  if (socket.transport.name === "polling") socket.once("upgrade", boundUpgraded);
}

interface EngineParts {
  failures: ErrorReporter;
  /** Nodes that get requests of this one's connections, and it of theirs. */
  siblings?: Siblings | undefined;
  clock: Clock;
  closeTimeoutMs: number;
}

/**
 * Engine.IO with bounds that its options do not have. It relies on members of it that are not public, all of them in
 * this file: `parser`, `onPacket`, `closeTimeout` and what bounds the frames of a transport, `writeBuffer` of a socket.
 */
export class BoundedEngine extends EngineServer {
  readonly #failures: ErrorReporter;
  readonly #siblings: Siblings | undefined;
  readonly #bounds: object;

  constructor(
    options: ConstructorParameters<typeof EngineServer>[0],
    { failures, siblings, clock, closeTimeoutMs }: EngineParts,
  ) {
    super(options);
    this.#failures = failures;
    this.#siblings = siblings;
    this.#bounds = { parser: boundedParser, onPacket: boundedOnPacket(clock), closeTimeout: closeTimeoutMs };
    // A WebSocket begins with this bound (`ws-engine.ts`).
    this.on("connection", ({ transport }: EngineSocket) => boundFrames(transport, pendingFrameBytes));
    limitPollingAnswers(this);
    writeFlushesTogether(this);
  }

  protected override createTransport(
    name: "polling" | "websocket" | "webtransport",
    request: IncomingMessage,
  ): Transport {
    const transport = super.createTransport(name, request);
    return Object.assign(transport, this.#bounds);
  }

  override generateId(request: IncomingMessage): string | PromiseLike<string> {
    const id = super.generateId(request);
    return this.#siblings === undefined || typeof id !== "string" ? id : `${this.#siblings.mark}${id}`;
  }

  override handleRequest(request: IncomingMessage, response: ServerResponse): void {
    const guarded = (handle: () => void): void => {
      try {
        handle();
      } catch (error) {
        this.#failures.report("socket.request", error);
        response.destroy();
      }
    };
    const handleHere = (): void => guarded(() => super.handleRequest(request, response));
    guarded(() => this.#siblings?.takesRequest(request, response, handleHere) === true || handleHere());
  }

  override handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      if (this.#siblings?.takesUpgrade(request, socket, head) !== true) super.handleUpgrade(request, socket, head);
    } catch (error) {
      this.#failures.report("socket.upgrade", error);
      socket.destroy();
    }
  }
}

/** Engine.IO flushes in one synchronous step, `flush` before and `drain` after: what is too much goes back in between. */
function limitPollingAnswers(engine: EngineServer): void {
  let rest: Packet[] = [];
  engine.on("flush", (socket: EngineSocket, packets: Packet[]) => {
    if (packets.length > maxPacketsOut && socket.transport.name === "polling") rest = packets.splice(maxPacketsOut);
  });
  engine.on("drain", (socket: EngineSocket) => {
    if (rest.length === 0) return;
    (socket as unknown as { writeBuffer: Packet[] }).writeBuffer.unshift(...rest);
    rest = [];
  });
}

/** Packets that waited for their connection, such as the answers to many messages that came at once. */
function writeFlushesTogether(engine: EngineServer): void {
  engine.on("flush", (socket: EngineSocket, packets: Packet[]) => {
    if (packets.length > 1) inOneWriteNow(socket);
  });
}
