import type { Socket } from "node:net";
import { WebSocket, type ClientOptions } from "ws";

/** Callbacks of a transport; `closed` is the last. */
export interface TransportListener {
  /** The handshake is complete: messages may be sent. */
  opened(): void;
  message(content: Buffer, isBinary: boolean): void;
  closed(reason: "transport close" | "transport error" | "ping timeout" | "parse error" | "timeout"): void;
}

type CloseReason = Parameters<TransportListener["closed"]>[0];

/** Packet types, the first character of each packet. */
const packet = { open: "0", close: "1", ping: "2", pong: "3", message: "4", noop: "6" } as const;
const messageByte = packet.message.charCodeAt(0);

/** Socket.IO's default for a whole connection attempt. */
const connectTimeoutMs = 20_000;

/** Max wait for the closing handshake. */
const closeTimeoutMs = 1_000;

/** One Engine.IO 4 connection over WebSocket: handshake, heartbeat, messages. */
export class LeanTransport {
  readonly #socket: WebSocket;
  readonly #reader: TransportListener;
  /** First the timeout of the attempt, then that of the next ping. */
  #deadline: NodeJS.Timeout;
  #isOver = false;

  constructor(url: URL, dial: () => Socket, reader: TransportListener) {
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

  /** Calls no callback afterwards. */
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
        return this.#opened(text.slice(1));
      case packet.close:
        return this.#end("transport close");
      case packet.noop:
        return undefined;
      default:
        return this.#end("parse error");
    }
  }

  #opened(text: string): void {
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

/** ws documents `closeTimeout`; its types lack it. */
const optionsFor = (dial: () => Socket): ClientOptions & { closeTimeout: number } => ({
  createConnection: dial,
  perMessageDeflate: false,
  closeTimeout: closeTimeoutMs,
});

/** Max silence of the server in milliseconds; undefined if `handshake` is invalid. */
function heartbeatOf(greeting: string): number | undefined {
  try {
    const { pingInterval, pingTimeout } = JSON.parse(greeting) as { pingInterval: number; pingTimeout: number };
    return pingInterval + pingTimeout;
  } catch {
    return undefined;
  }
}
