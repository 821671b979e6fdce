import type { ManagerOptions, SocketOptions } from "socket.io-client";
import type { Closing } from "../protocol/closings.ts";
import type { AnswerOf, Ready, RequestName, RequestOf } from "../protocol/wire.ts";
import { type Backoff, type BackoffOptions, defaultBackoff } from "./backoff.ts";
import type { Channel } from "./channel.ts";
import { Channels } from "./channels.ts";
import { Connection, type Phase, type Trouble } from "./connection.ts";
import { Emitter, type Listener, type Off } from "./emitter.ts";
import { TidegateError } from "./errors.ts";
import type { Leaderboard } from "./leaderboard.ts";
import { createLiveViews, type LiveViews } from "./live-views.ts";
import { whenOnline } from "./online.ts";
import type { LiveOrders } from "./open-orders.ts";
import type { LiveOrder } from "./order.ts";
import { Pacer } from "./pacer.ts";
import { createRequests, type Requests, withRetries } from "./requests.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { createSocket, type GatewaySocket } from "./socket.ts";
import type { Subscription } from "./subscription.ts";
import { createTokens, type TokenProvider, type Tokens } from "./tokens.ts";

export interface ConnectOptions {
  /** The token, or what gives one; asked again for every connection and when the token is about to end. */
  token: TokenProvider;
  /** How long to wait for an answer. @default 10_000 */
  requestTimeoutMs?: number;
  /** How long one attempt to connect may take. @default 10_000 */
  connectTimeoutMs?: number;
  /** Between attempts, and between repeats of what the gateway could not do. */
  backoff?: BackoffOptions;
  /** Most subscriptions asked for at a time. @default 16 */
  subscribesAtOnce?: number;
  /** For Socket.IO's client: `path`, `transports`, `extraHeaders` and others. @default WebSocket, else polling */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

/** `recovering`: connected, and some channel is still finding out what it missed. `closed`: for good. */
export type ClientState = "connecting" | "connected" | "recovering" | "disconnected" | "closed";

export interface ClientEvents {
  /** `error` says why there is no connection, `retryInMs` when the next attempt follows. */
  state: { state: ClientState; previous: ClientState; error?: TidegateError; retryInMs?: number };
  /** The node's greeting, on every connection. */
  ready: Ready;
  /** The token ends soon. With a token provider the client refreshes it by itself. */
  expiring: { expiresAt: number };
  /** The gateway is about to disconnect us, and why. */
  closing: Closing;
  /** The node is going away; the client moves to another by itself. */
  drain: { reconnectAfterMs: number };
  /** Trouble that no call rejects with: the token could not be refreshed. */
  error: TidegateError;
  /** The end: closed by you, or by the gateway for a reason that another connection would not mend. */
  closed: TidegateError;
}

export interface Client {
  readonly state: ClientState;
  /** The last greeting: node, user, session. */
  readonly ready: Ready | undefined;
  /** Milliseconds the last answered request took. */
  readonly roundTripMs: number | undefined;
  /** Socket.IO's own socket, for events that are not the gateway's. */
  readonly socket: GatewaySocket;
  readonly sessions: Sessions;
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): Off;
  /** The same object for the same name. */
  channel<Events extends object = Record<string, unknown>, Snapshot = unknown>(name: string): Channel<Events, Snapshot>;
  /** A board's live top and the own place on it, until `close`. */
  leaderboard<Data = unknown>(board: string): Leaderboard<Data>;
  /** A live order of which the user is a party, until `close`. */
  order(orderId: string): LiveOrder;
  /** The user's open orders, live, until `close`. */
  orders(): LiveOrders;
  /** Any event of the protocol. Rejects with a TidegateError. */
  request<Name extends RequestName>(name: Name, message: RequestOf<Name>): Promise<AnswerOf<Name>>;
  /** Does not wait until the next attempt is due. */
  reconnectNow(): void;
  close(): void;
}

const defaults = { requestTimeoutMs: 10_000, connectTimeoutMs: 10_000, subscribesAtOnce: 16 };

/** How often a token is asked for anew before it is left to end. */
const refreshRetries = 5;

/** Ties connection, requests and channels together. */
export class GatewayClient implements Client {
  readonly socket: GatewaySocket;
  readonly sessions: Sessions;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #tokens: Tokens;
  readonly #requests: Requests;
  readonly #backoff: Backoff;
  readonly #channels: Channels;
  readonly #views: LiveViews;
  readonly #connection: Connection;
  readonly #stopWatching: Off;
  #phase: Phase = "connecting";
  #state: ClientState = "connecting";
  #ready: Ready | undefined;

  constructor(url: string, options: ConnectOptions) {
    const { requestTimeoutMs, connectTimeoutMs, subscribesAtOnce } = { ...defaults, ...options };
    this.socket = createSocket(url, connectTimeoutMs, options.socket);
    this.#tokens = createTokens(options.token);
    this.#requests = createRequests(this.socket, requestTimeoutMs);
    this.#backoff = { ...defaultBackoff, ...options.backoff };
    // Before the connection does: users hear `closing` before what follows from it.
    this.#listen();
    this.#channels = this.#createChannels(new Pacer(subscribesAtOnce));
    this.#connection = this.#createConnection(connectTimeoutMs);
    this.sessions = createSessions(this.#requests);
    this.#views = this.#createViews();
    this.#stopWatching = whenOnline(() => this.reconnectNow());
    this.#connection.connect();
  }

  get state(): ClientState {
    return this.#state;
  }

  get ready(): Ready | undefined {
    return this.#ready;
  }

  get roundTripMs(): number | undefined {
    return this.#requests.roundTripMs;
  }

  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): Off {
    return this.#emitter.on(name, listener);
  }

  channel<Events extends object, Snapshot>(name: string): Channel<Events, Snapshot> {
    // The names and shapes of a channel's data are its reader's to state; nothing here depends on them.
    return this.#channels.get(name) as unknown as Channel<Events, Snapshot>;
  }

  leaderboard<Data>(board: string): Leaderboard<Data> {
    // As with channels: what entries carry is their reader's to state.
    return this.#views.leaderboard(board) as Leaderboard<Data>;
  }

  order(orderId: string): LiveOrder {
    return this.#views.order(orderId);
  }

  orders(): LiveOrders {
    return this.#views.orders();
  }

  request<Name extends RequestName>(name: Name, message: RequestOf<Name>): Promise<AnswerOf<Name>> {
    return this.#requests.request(name, message);
  }

  reconnectNow(): void {
    this.#connection.connect();
  }

  close(): void {
    this.#connection.close(new TidegateError("closed", "The client was closed."));
  }

  #createChannels(pacer: Pacer): Channels {
    const link = {
      request: this.#requests.request,
      pacer,
      backoff: this.#backoff,
      connection: () => this.#connection.number,
      closedBy: () => this.#requests.closedBy,
    };
    return new Channels(link, () => this.#update());
  }

  #createViews(): LiveViews {
    return createLiveViews({
      request: this.#requests.request,
      channel: (name) => this.#channels.get(name),
      onUser: (listener) => {
        if (this.#ready !== undefined) listener(this.#ready.userId);
        return this.on("ready", ({ userId }) => listener(userId));
      },
    });
  }

  #createConnection(connectTimeoutMs: number): Connection {
    const each = (step: (subscription: Subscription) => void): void => {
      for (const { subscription } of this.#channels) step(subscription);
    };
    const options = { backoff: this.#backoff, connectTimeoutMs };
    return new Connection(this.socket, this.#tokens, options, {
      phase: (phase, trouble) => this.#enter(phase, trouble),
      limit: (maxBytes) => this.#requests.limit(maxBytes),
      opened: (recovered) => each((subscription) => subscription.opened(recovered)),
      replayed: ({ positions = [] }) => {
        const byName = new Map(positions.map((position) => [position.channel, position]));
        each((subscription) => subscription.replayed(byName));
      },
      cut: () => each((subscription) => subscription.cut()),
    });
  }

  #listen(): void {
    const { socket } = this;
    socket.on("publication", (publication) => this.#subscription(publication.channel)?.receive(publication));
    socket.on("unsubscribed", (unsubscribed) => this.#subscription(unsubscribed.channel)?.takenAway(unsubscribed));
    socket.on("presence", (change) => this.#channels.find(change.channel)?.tellPresence(change));
    socket.on("ready", (ready) => this.#emitter.emit("ready", (this.#ready = ready)));
    socket.on("closing", (closing) => this.#emitter.emit("closing", closing));
    socket.on("drain", (drain) => this.#emitter.emit("drain", drain));
    socket.on("auth:expiring", (expiring) => {
      this.#emitter.emit("expiring", expiring);
      if (this.#tokens.canRefresh) void this.#refresh();
    });
  }

  #subscription(channel: string): Subscription | undefined {
    return this.#channels.find(channel)?.subscription;
  }

  async #refresh(): Promise<void> {
    const refreshOnce = async () => this.request("auth:refresh", { token: await this.#tokens.get() });
    try {
      await withRetries(refreshOnce, refreshRetries, this.#backoff);
    } catch (error) {
      this.#emitter.emit("error", error as TidegateError);
    }
  }

  #enter(phase: Phase, trouble?: Trouble): void {
    this.#phase = phase;
    this.#update(trouble);
    if (phase === "closed" && trouble !== undefined) this.#end(trouble.error);
  }

  #end(reason: TidegateError): void {
    this.#stopWatching();
    this.#requests.close(reason);
    for (const { subscription } of this.#channels) subscription.end(reason);
    this.#emitter.emit("closed", reason);
  }

  #update(trouble?: Trouble): void {
    const previous = this.#state;
    const state = this.#stateNow();
    if (state === previous) return;
    this.#state = state;
    this.#emitter.emit("state", { state, previous, ...trouble });
  }

  #stateNow(): ClientState {
    if (this.#phase === "waiting") return "disconnected";
    if (this.#phase !== "open") return this.#phase;
    return this.#channels.isRecovering ? "recovering" : "connected";
  }
}
