import type { Socket } from "node:net";
import { WebSocket, type ClientOptions } from "ws";

/** What a transport tells whoever opened it; nothing after `closed`. */
export interface TransportReader {
  /** The server greeted: messages may be sent. */
  opened(): void;
  message(content: Buffer, isBinary: boolean): void;
  closed(reason: "transport close" | "transport error" | "ping timeout" | "parse error" | "timeout"): void;
}

type CloseReason = Parameters<TransportReader["closed"]>[0];

/** Types of packets: the first character of each. */
const packet = { open: "0", close: "1", ping: "2", pong: "3", message: "4", noop: "6" } as const;
const messageByte = packet.message.charCodeAt(0);

/** Socket.IO's own default, for all of an attempt. */
const connectTimeoutMs = 20_000;

/** For the closing handshake; a peer that does not answer is not waited for. */
const closeTimeoutMs = 1_000;

/** One Engine.IO 4 connection over WebSocket: greeting, heartbeat, messages. */
export class LeanTransport {
  readonly #socket: WebSocket;
  readonly #reader: TransportReader;
  /** First the end of the attempt, then the next ping's. */
  #deadline: NodeJS.Timeout;
  #isOver = false;

  constructor(url: URL, dial: () => Socket, reader: TransportReader) {
    this.#reader = reader;
    this.#socket = new WebSocket(url, optionsFor(dial));
    this.#deadline = setTimeout(() => this.#end("timeout"), connectTimeoutMs);
    this.#socket.on("message", (data, isBinary) => this.#isOver || this.#read(data as Buffer, isBinary));
    this.#socket.on("close", () => this.#end("transport close"));
    this.#socket.on("error", () => this.#end("transport error"));
  }

  send(text: string): void {
    this.#socket.send(packet.message + text);
  }

  /** Tells its reader nothing more. */
  close(): void {
    this.#isOver = true;
    clearTimeout(this.#deadline);
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate();
    else this.#socket.close();
  }

  #read(data: Buffer, isBinary: boolean): void {
    if (isBinary) this.#reader.message(data, true);
    else if (data[0] === messageByte) this.#reader.message(data.subarray(1), false);
    else this.#readOther(data.toString());
  }

  #readOther(text: string): void {
    switch (text[0]) {
      case packet.ping:
        this.#deadline.refresh();
        return this.#socket.send(packet.pong);
      case packet.open:
        return this.#greeted(text.slice(1));
      case packet.close:
        return this.#end("transport close");
      case packet.noop:
        return undefined;
      default:
        return this.#end("parse error");
    }
  }

  #greeted(text: string): void {
    const heartbeatMs = heartbeatOf(text);
    if (heartbeatMs === undefined) return this.#end("parse error");
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#end("ping timeout"), heartbeatMs);
    this.#reader.opened();
  }

  #end(reason: CloseReason): void {
    if (this.#isOver) return;
    this.close();
    this.#reader.closed(reason);
  }
}

/** `closeTimeout` is documented by ws and missing in its types. */
const optionsFor = (dial: () => Socket): ClientOptions & { closeTimeout: number } => ({
  createConnection: dial,
  perMessageDeflate: false,
  closeTimeout: closeTimeoutMs,
});

/** How long the server may be silent. */
function heartbeatOf(greeting: string): number | undefined {
  try {
    const { pingInterval, pingTimeout } = JSON.parse(greeting) as { pingInterval: number; pingTimeout: number };
    return pingInterval + pingTimeout;
  } catch {
    // The reader is told that it is no greeting.
    return undefined;
  }
}
