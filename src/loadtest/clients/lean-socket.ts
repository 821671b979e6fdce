import { Decoder, PacketType, type Packet } from "socket.io-parser";
import type { Random } from "../random.ts";
import { LeanTransport } from "./lean-transport.ts";
import type { Dialer } from "./dialer.ts";
import type { ParseEvent } from "./parse-once.ts";
import type { Auth, ClientSocket, SocketListener } from "./socket.ts";

export interface LeanSocketOptions {
  dialer: Dialer;
  /** Socket.IO path of the server. */
  path: string;
  auth: Auth;
  random: Random;
  parse: ParseEvent;
}

/** Socket.IO's default reconnection delays. */
const minDelayMs = 1_000;
const maxDelayMs = 5_000;
const spread = 0.5;

/** An event packet without an acknowledgement id starts with `2[`. */
const eventByte = 0x30 + PacketType.EVENT;
const bracketByte = 0x5b;

/**
 * A Socket.IO client (protocol 5 on Engine.IO 4), light enough for thousands in one process. On the wire it behaves
 * like Socket.IO's client over WebSocket: handshake, heartbeat, acknowledgements, connection state recovery, and the
 * same reconnection delays. It has no polling, no other namespaces, no buffer while disconnected, no binary packets to
 * send, and one listener per event. Socket.IO's parser reads all but the most common packet.
 *
 * docs/loadtest.md has the cost of both clients. Stock clients can run beside it in the same test.
 */
export class LeanSocket implements ClientSocket {
  id: string | undefined;
  connected = false;
  recovered = false;
  readonly #options: LeanSocketOptions;
  readonly #listeners = new Map<string, SocketListener>();
  readonly #acknowledgements = new Map<number, SocketListener>();
  readonly #decoder = new Decoder();
  #decoded: Packet | undefined;
  #transport: LeanTransport | undefined;
  #nextAttempt: NodeJS.Timeout | undefined;
  #attempts = 0;
  #isActive = false;
  #nextId = 0;
  /** Events received before CONNECT. */
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

  on(event: string, listener: SocketListener): this {
    this.#listeners.set(event, listener);
    return this;
  }

  /** If the last argument is a function, it receives the acknowledgement. */
  emit(event: string, ...args: unknown[]): this {
    const acknowledge = typeof args.at(-1) === "function" ? (args.pop() as SocketListener) : undefined;
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

  /** Sends DISCONNECT and does not reconnect. */
  disconnect(): this {
    this.#isActive = false;
    if (this.connected) this.#transport?.send(`${PacketType.DISCONNECT}`);
    this.#closeTransport("io client disconnect");
    return this;
  }

  #open(): void {
    clearTimeout(this.#nextAttempt);
    const { dialer: line, path } = this.#options;
    const url = new URL(`${path}?EIO=4&transport=websocket`, line.address);
    url.protocol = url.protocol.replace("http", "ws");
    this.#transport = new LeanTransport(url, line.dial, {
      opened: () => this.#sendConnect(),
      message: (content, isBinary) => this.#read(content, isBinary),
      closed: (reason) => this.#connectionLost(reason),
    });
  }

  #sendConnect(): void {
    const transport = this.#transport;
    const recovery = this.#recoveryId !== undefined && { pid: this.#recoveryId, offset: this.#recoveryOffset };
    this.#options.auth((data) => {
      // The transport may have changed while the token was fetched.
      if (transport === this.#transport)
        transport?.send(`${PacketType.CONNECT}${JSON.stringify({ ...recovery, ...data })}`);
    });
  }

  #read(content: Buffer, isBinary: boolean): void {
    const packet = this.#decode(content, isBinary);
    if (packet === "broken") this.#connectionLost("parse error");
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
      // Like Socket.IO's client, disconnects from a server that speaks another protocol.
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
        return this.#received(data as unknown[]);
      case PacketType.ACK:
      case PacketType.BINARY_ACK:
        return this.#acknowledged(id as number, data as unknown[]);
      case PacketType.DISCONNECT:
        this.#isActive = false;
        return this.#connectionLost("io server disconnect");
    }
  }

  #begin({ sid, pid }: { sid: string; pid?: string }): void {
    this.id = sid;
    this.recovered = pid !== undefined && pid === this.#recoveryId;
    this.#recoveryId = pid;
    this.connected = true;
    this.#attempts = 0;
    // Recovered events arrive before CONNECT and are dispatched before `connect`, as in Socket.IO's client.
    for (const args of this.#early.splice(0)) this.#dispatch(args);
    this.#listeners.get("connect")?.();
  }

  #refused({ message, data }: { message: string; data?: unknown }): void {
    this.#isActive = false;
    this.#closeTransport();
    this.#listeners.get("connect_error")?.(Object.assign(new Error(message), { data }));
  }

  #received(args: unknown[]): void {
    if (this.connected) this.#dispatch(args);
    else this.#early.push(args);
  }

  #dispatch(args: unknown[]): void {
    this.#listeners.get(args[0] as string)?.(...args.slice(1));
    const last = args.at(-1);
    if (this.#recoveryId !== undefined && typeof last === "string") this.#recoveryOffset = last;
  }

  #acknowledged(id: number, args: unknown[]): void {
    const acknowledge = this.#acknowledgements.get(id);
    this.#acknowledgements.delete(id);
    acknowledge?.(...args);
  }

  #connectionLost(reason: string): void {
    const wasConnected = this.connected;
    this.#closeTransport(reason);
    if (!wasConnected) this.#listeners.get("connect_error")?.(new Error(reason));
    if (this.#isActive && this.#transport === undefined) this.#scheduleReconnect();
  }

  #closeTransport(reason?: string): void {
    const wasConnected = this.connected;
    this.#transport?.close();
    this.#transport = undefined;
    this.connected = false;
    this.#early = [];
    this.#acknowledgements.clear();
    clearTimeout(this.#nextAttempt);
    if (wasConnected) this.#listeners.get("disconnect")?.(reason);
  }

  #scheduleReconnect(): void {
    const delayMs = Math.min(minDelayMs * 2 ** Math.min(this.#attempts, 10), maxDelayMs);
    this.#attempts += 1;
    const spreadMs = delayMs * (1 - spread + 2 * spread * this.#options.random());
    this.#nextAttempt = setTimeout(() => this.#open(), spreadMs);
  }
}
