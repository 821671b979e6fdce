import { Decoder, PacketType, type Packet } from "socket.io-parser";
import type { Random } from "../random.ts";
import { LeanTransport } from "./lean-transport.ts";
import type { Line } from "./line.ts";
import type { ParseEvent } from "./parse-once.ts";
import type { Auth, ClientSocket, Listener } from "./socket.ts";

export interface LeanSocketOptions {
  line: Line;
  /** Where the server listens for Socket.IO. */
  path: string;
  auth: Auth;
  random: Random;
  parse: ParseEvent;
}

/** Socket.IO's own delays before it connects again. */
const firstDelayMs = 1_000;
const longestDelayMs = 5_000;
const spread = 0.5;

/** How an event begins that asks for no acknowledgement: `2[`. */
const eventByte = 0x30 + PacketType.EVENT;
const bracketByte = 0x5b;

/**
 * A Socket.IO client (protocol 5 on Engine.IO 4) for thousands in one process. On the wire it behaves as Socket.IO's own
 * over WebSocket: handshake, heartbeat, acknowledgements, connection state recovery, and reconnection after the same
 * delays. It leaves out what a reader has no use for: polling, other namespaces, packets kept while disconnected, binary
 * packets of its own, more than one listener an event. Socket.IO's own parser reads all but the commonest packet.
 *
 * It exists because of what a client costs; the figures are in docs/loadtest.md. To judge behaviour rather than to make
 * load, stock clients can run beside it.
 */
export class LeanSocket implements ClientSocket {
  id: string | undefined;
  connected = false;
  recovered = false;
  readonly #options: LeanSocketOptions;
  readonly #listeners = new Map<string, Listener>();
  readonly #acknowledgements = new Map<number, Listener>();
  readonly #decoder = new Decoder();
  #decoded: Packet | undefined;
  #transport: LeanTransport | undefined;
  #nextAttempt: NodeJS.Timeout | undefined;
  #attempts = 0;
  #isActive = false;
  #nextId = 0;
  /** Events that came before CONNECT. */
  #early: unknown[][] = [];
  #recoveryId: string | undefined;
  #recoveryOffset: string | undefined;

  constructor(options: LeanSocketOptions) {
    this.#options = options;
    this.#decoder.on("decoded", (packet) => (this.#decoded = packet));
  }

  get active(): boolean {
    return this.#isActive;
  }

  on(event: string, listener: Listener): this {
    this.#listeners.set(event, listener);
    return this;
  }

  /** A function as last argument gets the acknowledgement. */
  emit(event: string, ...args: unknown[]): this {
    const acknowledge = typeof args.at(-1) === "function" ? (args.pop() as Listener) : undefined;
    if (!this.connected) return this;
    const id = acknowledge === undefined ? "" : this.#nextId++;
    if (acknowledge !== undefined) this.#acknowledgements.set(id as number, acknowledge);
    this.#transport?.send(`${PacketType.EVENT}${id}${JSON.stringify([event, ...args])}`);
    return this;
  }

  connect(): this {
    this.#isActive = true;
    if (this.#transport === undefined) this.#open();
    return this;
  }

  /** With a goodbye, and for good. */
  disconnect(): this {
    this.#isActive = false;
    if (this.connected) this.#transport?.send(`${PacketType.DISCONNECT}`);
    this.#leave("io client disconnect");
    return this;
  }

  #open(): void {
    clearTimeout(this.#nextAttempt);
    const { line, path } = this.#options;
    const url = new URL(`${path}?EIO=4&transport=websocket`, line.address);
    url.protocol = url.protocol.replace("http", "ws");
    this.#transport = new LeanTransport(url, line.dial, {
      opened: () => this.#introduce(),
      message: (content, isBinary) => this.#read(content, isBinary),
      closed: (reason) => this.#lose(reason),
    });
  }

  #introduce(): void {
    const transport = this.#transport;
    const recovery = this.#recoveryId !== undefined && { pid: this.#recoveryId, offset: this.#recoveryOffset };
    this.#options.auth((data) => {
      // A token may have taken its time.
      if (transport === this.#transport)
        transport?.send(`${PacketType.CONNECT}${JSON.stringify({ ...recovery, ...data })}`);
    });
  }

  #read(content: Buffer, isBinary: boolean): void {
    const packet = this.#decode(content, isBinary);
    if (packet === "broken") this.#lose("parse error");
    else if (packet !== undefined) this.#receive(packet);
  }

  /** Undefined while attachments are missing. */
  #decode(content: Buffer, isBinary: boolean): Pick<Packet, "type" | "data" | "id"> | "broken" | undefined {
    try {
      if (!isBinary && content[0] === eventByte && content[1] === bracketByte)
        return { type: PacketType.EVENT, data: this.#options.parse(content) };
      this.#decoded = undefined;
      this.#decoder.add(isBinary ? content : content.toString());
      return this.#decoded;
    } catch {
      // As Socket.IO's own: whoever speaks another protocol is left.
      return "broken";
    }
  }

  #receive({ type, data, id }: Pick<Packet, "type" | "data" | "id">): void {
    switch (type) {
      case PacketType.CONNECT:
        return this.#begin(data as { sid: string; pid?: string });
      case PacketType.CONNECT_ERROR:
        return this.#refused(data as { message: string; data?: unknown });
      case PacketType.EVENT:
      case PacketType.BINARY_EVENT:
        return this.#hear(data as unknown[]);
      case PacketType.ACK:
      case PacketType.BINARY_ACK:
        return this.#acknowledged(id as number, data as unknown[]);
      case PacketType.DISCONNECT:
        this.#isActive = false;
        return this.#lose("io server disconnect");
    }
  }

  #begin({ sid, pid }: { sid: string; pid?: string }): void {
    this.id = sid;
    this.recovered = pid !== undefined && pid === this.#recoveryId;
    this.#recoveryId = pid;
    this.connected = true;
    this.#attempts = 0;
    // What recovery brings back comes before CONNECT; it is told before `connect` too, as Socket.IO's own does.
    for (const args of this.#early.splice(0)) this.#tell(args);
    this.#listeners.get("connect")?.();
  }

  #refused({ message, data }: { message: string; data?: unknown }): void {
    this.#isActive = false;
    this.#leave();
    this.#listeners.get("connect_error")?.(Object.assign(new Error(message), { data }));
  }

  #hear(args: unknown[]): void {
    if (this.connected) this.#tell(args);
    else this.#early.push(args);
  }

  #tell(args: unknown[]): void {
    this.#listeners.get(args[0] as string)?.(...args.slice(1));
    const last = args.at(-1);
    if (this.#recoveryId !== undefined && typeof last === "string") this.#recoveryOffset = last;
  }

  #acknowledged(id: number, args: unknown[]): void {
    const acknowledge = this.#acknowledgements.get(id);
    this.#acknowledgements.delete(id);
    acknowledge?.(...args);
  }

  #lose(reason: string): void {
    const wasConnected = this.connected;
    this.#leave(reason);
    if (!wasConnected) this.#listeners.get("connect_error")?.(new Error(reason));
    if (this.#isActive && this.#transport === undefined) this.#planReturn();
  }

  #leave(reason?: string): void {
    const wasConnected = this.connected;
    this.#transport?.close();
    this.#transport = undefined;
    this.connected = false;
    this.#early = [];
    this.#acknowledgements.clear();
    clearTimeout(this.#nextAttempt);
    if (wasConnected) this.#listeners.get("disconnect")?.(reason);
  }

  #planReturn(): void {
    const delayMs = Math.min(firstDelayMs * 2 ** Math.min(this.#attempts, 10), longestDelayMs);
    this.#attempts += 1;
    const spreadMs = delayMs * (1 - spread + 2 * spread * this.#options.random());
    this.#nextAttempt = setTimeout(() => this.#open(), spreadMs);
  }
}
