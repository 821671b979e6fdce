import type { Closing } from "../../protocol/closings.ts";
import type { Position, Ready, WirePublication } from "../../protocol/wire.ts";
import type { Random } from "../random.ts";
import type { TargetProtocol, SubscribeReply } from "./target-protocol.ts";
import type { VirtualUserLogin } from "./login.ts";
import type { Reader, ReaderOptions, ReaderObserver } from "./reader.ts";
import type { ClientSocket } from "./socket.ts";

export interface SocketReaderDeps {
  socket: ClientSocket;
  protocol: TargetProtocol;
  login: VirtualUserLogin;
  random: Random;
}

/** Delays before retries that Socket.IO leaves to the application; doubled each time. */
const minDelayMs = 500;
const maxDelayMs = 10_000;

/** A publication; without a position if the target has none. */
type IncomingPublication = Omit<WirePublication, keyof Position> & Partial<Position>;

/**
 * A reader on a plain Socket.IO client, doing what an application has to do itself: it subscribes to its channels on
 * each connection from its last positions, unless Socket.IO recovered the connection, and it reconnects where
 * Socket.IO's client does not: after a refused handshake, after the server disconnected it, and from a draining node.
 */
export class SocketReader implements Reader {
  readonly #socket: ClientSocket;
  readonly #deps: SocketReaderDeps;
  readonly #channels: ReadonlySet<string>;
  readonly #observer: ReaderObserver;
  readonly #positions = new Map<string, Position>();
  readonly #subscribed = new Set<string>();
  /** Number of the connection, so that responses of an earlier one are ignored. */
  #connection = 0;
  #nodeId: string | undefined;
  #isReady = false;
  #mayReturn = true;
  #failures = 0;
  #isClosed = false;

  constructor(deps: SocketReaderDeps, { channels, observer }: ReaderOptions) {
    this.#deps = deps;
    this.#socket = deps.socket;
    this.#channels = new Set(channels);
    this.#observer = observer;
    this.#listen();
  }

  open(): void {
    this.#socket.connect();
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.disconnect();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => this.#connected());
    socket.on("disconnect", (reason: string) => this.#disconnected(reason));
    socket.on("connect_error", (error: Error & { data?: ConnectErrorData }) => this.#refused(error));
    socket.on("ready", (ready: Ready) => this.#opened(ready));
    socket.on("publication", (arrival: IncomingPublication) => this.#take(arrival));
    socket.on("unsubscribed", ({ channel, code }: { channel: string; code: string }) => this.#taken(channel, code));
    socket.on("closing", (closing: Closing) => this.#closing(closing));
    socket.on("drain", ({ reconnectAfterMs }: { reconnectAfterMs: number }) => this.#move(reconnectAfterMs));
    socket.on("auth:expiring", () => this.#refresh());
  }

  #connected(): void {
    this.#connection += 1;
    this.#mayReturn = true;
    if (!this.#socket.recovered) return this.#channels.forEach((channel) => this.#subscribe(channel));
    for (const channel of this.#channels) this.#subscribed.add(channel);
    this.#reportReady();
  }

  #opened({ nodeId }: Ready): void {
    this.#nodeId = nodeId;
    this.#isReady = true;
    this.#reportReady();
  }

  #subscribe(channel: string): void {
    const connection = this.#connection;
    const { protocol: dialect } = this.#deps;
    const since = this.#positions.get(channel);
    this.#socket.emit(dialect.subscribeEvent, dialect.request(channel, since), (answer: SubscribeReply) => {
      if (connection !== this.#connection || !this.#socket.connected) return;
      if (answer.ok) this.#stands(channel, since, answer);
      else this.#subscribeLater(channel, answer.error);
    });
  }

  #subscribeLater(channel: string, { code, retryAfterMs = 0 }: ConnectErrorData): void {
    const connection = this.#connection;
    this.#observer.refused(code ?? "unknown");
    this.#later(retryAfterMs, () => connection === this.#connection && this.#subscribe(channel));
  }

  #stands(channel: string, since: Position | undefined, answer: SubscribeReply & { ok: true }): void {
    const { epoch, offset, recovered, publications = [], snapshot } = answer;
    const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    if (since === undefined) this.#observer.subscribed(channel, place, snapshot);
    else if (recovered === true) for (const publication of publications) this.#take(publication);
    else if (place !== undefined) this.#observer.reset(channel, place, snapshot);
    if (place !== undefined) this.#positions.set(channel, place);
    this.#subscribed.add(channel);
    this.#reportReady();
  }

  #reportReady(): void {
    if (this.#subscribed.size < this.#channels.size || (this.#deps.protocol.sendsReady && !this.#isReady)) return;
    this.#failures = 0;
    this.#observer.ready(this.#nodeId);
  }

  #take({ channel, epoch, offset, event, data }: IncomingPublication): void {
    const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    if (place !== undefined && this.#channels.has(channel)) this.#positions.set(channel, place);
    this.#observer.publication(channel, { position: place, event, data });
  }

  #taken(channel: string, code: string): void {
    this.#subscribed.delete(channel);
    if (this.#channels.has(channel)) this.#subscribeLater(channel, { code });
  }

  #disconnected(reason: string): void {
    this.#subscribed.clear();
    this.#isReady = false;
    this.#observer.lost(reason);
    if (!this.#socket.active && this.#mayReturn) this.#later(0, () => this.#socket.connect());
  }

  #refused({ message, data }: Error & { data?: ConnectErrorData }): void {
    this.#observer.refused(data?.code ?? message);
    if (!this.#socket.active) this.#later(data?.retryAfterMs ?? 0, () => this.#socket.connect());
  }

  #closing({ code, reconnect }: Closing): void {
    this.#observer.closing(code);
    this.#mayReturn = reconnect;
  }

  #move(afterMs: number): void {
    const connection = this.#connection;
    setTimeout(() => {
      if (connection !== this.#connection || this.#isClosed || !this.#socket.connected) return;
      this.#mayReturn = false;
      this.#socket.disconnect();
      this.#socket.connect();
    }, afterMs);
  }

  #refresh(): void {
    const refreshed = this.#deps.login.fresh().then((token) => this.#socket.emit("auth:refresh", { token }));
    // The token then expires; the reader is disconnected and reconnects with another.
    refreshed.catch(() => this.#observer.refused("refreshing the token failed"));
  }

  /** Retries after a backoff, no sooner than the target allows, with jitter so that readers do not retry together. */
  #later(minMs: number, run: () => unknown): void {
    const { random } = this.#deps;
    const delayMs = Math.min(minDelayMs * 2 ** Math.min(this.#failures, 10), maxDelayMs) * (0.5 + random());
    this.#failures += 1;
    setTimeout(() => this.#isClosed || run(), Math.max(delayMs, minMs * (1 + random() / 4)));
  }
}

interface ConnectErrorData {
  code?: string | undefined;
  retryAfterMs?: number | undefined;
}
