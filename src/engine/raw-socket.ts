import type { Socket as NetSocket } from "node:net";
import type { Socket as EngineSocket } from "engine.io";
import { descriptorOf, hasDirectHandle, type DirectWrite, type Writer } from "./direct-write.ts";

/** What of Engine.IO and ws the short road needs to see; none of it is public, all of it is looked at here alone. */
interface EngineParts {
  readyState?: unknown;
  upgrading?: unknown;
  writeBuffer?: { data?: unknown }[];
  transport?: TransportParts;
}

interface TransportParts {
  name?: unknown;
  socket?: WsParts;
}

interface WsParts {
  readyState?: unknown;
  extensions?: unknown;
  pause?: () => void;
  resume?: () => void;
  _socket?: NetSocket | null;
  _sender?: { _state?: unknown };
}

const wsOpen = 1;
const senderIdle = 0;

/**
 * The network socket under a connection's WebSocket. What is written to it while `isNext` holds follows everything that
 * was sent before.
 */
export class RawSocket implements Writer {
  readonly #engine: EngineParts;
  readonly #transport: TransportParts;
  readonly #ws: WsParts;
  readonly #socket: NetSocket;
  readonly #writeDirectly: DirectWrite | undefined;
  readonly #descriptor: number;
  /** Bytes that the kernel was given and did not take at once. */
  #lateBytes = 0;
  #whenFree: (() => void) | undefined;

  /** Undefined for any other transport, and where a library has moved one of these parts: then there is no short road. */
  static under(engine: EngineSocket, writeDirectly: DirectWrite | undefined): RawSocket | undefined {
    const { transport, writeBuffer, readyState } = engine as unknown as EngineParts;
    const ws = transport?.name === "websocket" ? transport.socket : undefined;
    const isKnown = typeof readyState === "string" && Array.isArray(writeBuffer) && ws?._sender?._state === senderIdle;
    if (!isKnown || ws.readyState !== wsOpen || ws.extensions !== "" || ws._socket == null) return undefined;
    return new RawSocket(engine, ws._socket, writeDirectly);
  }

  private constructor(engine: EngineSocket, socket: NetSocket, writeDirectly: DirectWrite | undefined) {
    this.#engine = engine as unknown as EngineParts;
    this.#transport = this.#engine.transport as TransportParts;
    this.#ws = this.#transport.socket as WsParts;
    this.#socket = socket;
    this.#writeDirectly = hasDirectHandle(socket) ? writeDirectly : undefined;
    this.#descriptor = this.#writeDirectly === undefined ? -1 : descriptorOf(socket);
  }

  /** Nothing that was sent before waits in Engine.IO or in ws. */
  get isNext(): boolean {
    const engine = this.#engine;
    const ws = this.#ws;
    return (
      engine.readyState === "open" &&
      engine.writeBuffer?.length === 0 &&
      engine.transport === this.#transport &&
      ws.readyState === wsOpen &&
      ws._sender?._state === senderIdle &&
      this.#socket.writable
    );
  }

  /** More than the network takes at once was written: it is better to wait for `whenFree`. */
  get isBlocked(): boolean {
    return this.#lateBytes > 0 || this.#socket.writableNeedDrain;
  }

  get waitingBytes(): number {
    return this.#lateBytes + this.#socket.writableLength;
  }

  /** What the kernel can be given bytes by, past Node, as long as nothing else is written; -1 where it cannot. */
  get freeDescriptor(): number {
    return this.#isEmpty ? this.#descriptor : -1;
  }

  write(bytes: Buffer): void {
    if (this.#writeDirectly === undefined || !this.#isEmpty) this.#socket.write(bytes);
    else this.#write(bytes, this.#writeDirectly);
  }

  /** The kernel took so many of the bytes by `freeDescriptor`; none and an error's number where it is negative. */
  writeRest(bytes: Buffer, sent: number): void {
    // An error shows again.
    if (!this.#socket.destroyed) this.write(bytes.subarray(Math.max(sent, 0)));
  }

  /** The same through the socket's stream, where it waits for what else `inOneWrite` is to send. */
  writeWithOthers(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Calls back once; it may be blocked again by then. Never where the connection ends first. */
  whenFree(go: () => void): void {
    if (this.#lateBytes === 0) this.#socket.once("drain", go);
    else this.#whenFree = go;
  }

  /** Neither the stream nor libuv holds anything. */
  get #isEmpty(): boolean {
    return this.#lateBytes === 0 && this.#socket.writableLength === 0;
  }

  #write(bytes: Buffer, writeDirectly: DirectWrite): void {
    const left = writeDirectly(this.#socket, bytes, this);
    if (left > 0) this.#lateBytes = left;
    else if (left < 0) this.#socket.destroy(new Error("The connection failed."));
  }

  /** What was late has gone, or cannot go any more. */
  ended(): void {
    this.#lateBytes = 0;
    const go = this.#whenFree;
    this.#whenFree = undefined;
    if (!this.#socket.destroyed) go?.();
  }
}

/** What `send` writes to the WebSocket leaves in one write: a system call costs more than all else about a small frame. */
export function inOneWrite(engine: EngineSocket, send: () => void): void {
  const socket = (engine as unknown as EngineParts).transport?.socket?._socket;
  socket?.cork();
  try {
    send();
  } finally {
    socket?.uncork();
  }
}

/** What is sent on the WebSocket until the code that runs now has ended leaves in one write. Nothing on polling. */
export function inOneWriteNow(engine: EngineSocket): void {
  const socket = (engine as unknown as EngineParts).transport?.socket?._socket;
  if (socket == null) return;
  socket.cork();
  process.nextTick(uncork, socket);
}

const uncork = (socket: NetSocket): void => socket.uncork();

/** Undefined on polling, where a request brings no more than its bounds allow. */
export const webSocketOf = (engine: EngineSocket): Pick<WsParts, "pause" | "resume"> | undefined =>
  (engine as unknown as EngineParts).transport?.socket;

/** Packets that Engine.IO has not handed to its transport. */
export function queuedPacketsOf(engine: EngineSocket): number {
  return (engine as unknown as EngineParts).writeBuffer?.length ?? 0;
}

/** Their size, and roughly what each takes beside it. */
export function queuedBytesOf(engine: EngineSocket): number {
  const packets = (engine as unknown as EngineParts).writeBuffer ?? [];
  return packets.reduce((sum, packet) => sum + queuedBytesOfPacket(packet), 0);
}

const packetOverhead = 128;

export function queuedBytesOfPacket({ data }: { data?: unknown }): number {
  return packetOverhead + (typeof data === "string" ? data.length : 0);
}

/** Bytes that wait in the WebSocket's network socket, whoever wrote them. */
export function socketBytesOf(engine: EngineSocket): number {
  return (engine as unknown as EngineParts).transport?.socket?._socket?.writableLength ?? 0;
}
