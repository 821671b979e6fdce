import type { Closing } from "../../protocol/closings.ts";
import type { Position, Ready, WirePublication } from "../../protocol/wire.ts";
import type { Random } from "../random.ts";
import type { Dialect, Standing } from "./dialect.ts";
import type { Login } from "./login.ts";
import type { Reader, ReaderOptions, ReaderWatch } from "./reader.ts";
import type { ClientSocket } from "./socket.ts";

export interface SocketReaderDeps {
  socket: ClientSocket;
  dialect: Dialect;
  login: Login;
  random: Random;
}

/** Before a repeat where Socket.IO leaves it to the application, doubled each time. */
const firstDelayMs = 500;
const longestDelayMs = 10_000;

/** Where the house does not number, a publication has no place. */
type Arrival = Omit<WirePublication, keyof Position> & Partial<Position>;

/**
 * A reader on a Socket.IO client that knows nothing of gateways: what an application has to do itself is done here. It
 * asks for its channels on each connection from where it stands, unless Socket.IO's recovery brought them back, and it
 * returns where Socket.IO's client does not: after a refused handshake, after the server's goodbye, and from a node that
 * drains.
 */
export class SocketReader implements Reader {
  readonly #socket: ClientSocket;
  readonly #deps: SocketReaderDeps;
  readonly #channels: ReadonlySet<string>;
  readonly #watch: ReaderWatch;
  readonly #positions = new Map<string, Position>();
  readonly #standing = new Set<string>();
  /** Another for each connection, so that answers of an earlier one are not taken for its own. */
  #connection = 0;
  #nodeId: string | undefined;
  #isGreeted = false;
  #mayReturn = true;
  #failures = 0;
  #isClosed = false;

  constructor(deps: SocketReaderDeps, { channels, watch }: ReaderOptions) {
    this.#deps = deps;
    this.#socket = deps.socket;
    this.#channels = new Set(channels);
    this.#watch = watch;
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
    socket.on("connect_error", (error: Error & { data?: Refusal }) => this.#refused(error));
    socket.on("ready", (ready: Ready) => this.#greeted(ready));
    socket.on("publication", (arrival: Arrival) => this.#take(arrival));
    socket.on("unsubscribed", ({ channel, code }: { channel: string; code: string }) => this.#taken(channel, code));
    socket.on("closing", (closing: Closing) => this.#closing(closing));
    socket.on("drain", ({ reconnectAfterMs }: { reconnectAfterMs: number }) => this.#move(reconnectAfterMs));
    socket.on("auth:expiring", () => this.#refresh());
  }

  #connected(): void {
    this.#connection += 1;
    this.#mayReturn = true;
    if (!this.#socket.recovered) return this.#channels.forEach((channel) => this.#subscribe(channel));
    for (const channel of this.#channels) this.#standing.add(channel);
    this.#readyWhenWhole();
  }

  #greeted({ nodeId }: Ready): void {
    this.#nodeId = nodeId;
    this.#isGreeted = true;
    this.#readyWhenWhole();
  }

  #subscribe(channel: string): void {
    const connection = this.#connection;
    const { dialect } = this.#deps;
    const since = this.#positions.get(channel);
    this.#socket.emit(dialect.ask, dialect.request(channel, since), (answer: Standing) => {
      if (connection !== this.#connection || !this.#socket.connected) return;
      if (answer.ok) this.#stands(channel, since, answer);
      else this.#subscribeLater(channel, answer.error);
    });
  }

  #subscribeLater(channel: string, { code, retryAfterMs = 0 }: Refusal): void {
    const connection = this.#connection;
    this.#watch.refused(code ?? "unknown");
    this.#later(retryAfterMs, () => connection === this.#connection && this.#subscribe(channel));
  }

  #stands(channel: string, since: Position | undefined, answer: Standing & { ok: true }): void {
    const { epoch, offset, recovered, publications = [], snapshot } = answer;
    const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    if (since === undefined) this.#watch.began(channel, place, snapshot);
    else if (recovered === true) for (const publication of publications) this.#take(publication);
    else if (place !== undefined) this.#watch.told(channel, place, snapshot);
    if (place !== undefined) this.#positions.set(channel, place);
    this.#standing.add(channel);
    this.#readyWhenWhole();
  }

  #readyWhenWhole(): void {
    if (this.#standing.size < this.#channels.size || (this.#deps.dialect.greets && !this.#isGreeted)) return;
    this.#failures = 0;
    this.#watch.ready(this.#nodeId);
  }

  #take({ channel, epoch, offset, event, data }: Arrival): void {
    const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
    if (place !== undefined && this.#channels.has(channel)) this.#positions.set(channel, place);
    this.#watch.publication(channel, { place, event, data });
  }

  #taken(channel: string, code: string): void {
    this.#standing.delete(channel);
    if (this.#channels.has(channel)) this.#subscribeLater(channel, { code });
  }

  #disconnected(reason: string): void {
    this.#standing.clear();
    this.#isGreeted = false;
    this.#watch.lost(reason);
    if (!this.#socket.active && this.#mayReturn) this.#later(0, () => this.#socket.connect());
  }

  #refused({ message, data }: Error & { data?: Refusal }): void {
    this.#watch.refused(data?.code ?? message);
    if (!this.#socket.active) this.#later(data?.retryAfterMs ?? 0, () => this.#socket.connect());
  }

  #closing({ code, reconnect }: Closing): void {
    this.#watch.closing(code);
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
    // The token is left to end then; the reader is told, and comes back with another.
    refreshed.catch(() => this.#watch.refused("refreshing the token failed"));
  }

  /** Never before the house allows, spread upwards, so that those refused together do not return together. */
  #later(leastMs: number, run: () => unknown): void {
    const { random } = this.#deps;
    const delayMs = Math.min(firstDelayMs * 2 ** Math.min(this.#failures, 10), longestDelayMs) * (0.5 + random());
    this.#failures += 1;
    setTimeout(() => this.#isClosed || run(), Math.max(delayMs, leastMs * (1 + random() / 4)));
  }
}

interface Refusal {
  code?: string | undefined;
  retryAfterMs?: number | undefined;
}
