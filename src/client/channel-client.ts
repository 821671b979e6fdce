import type { ManagerOptions, SocketOptions } from "socket.io-client";
import type { Closing } from "../protocol/closings.ts";
import type { Contract, OpenContract, PublicationData, PublicationInputs } from "../protocol/contract.ts";
import type {
  AnswerOf,
  Ready,
  RequestName,
  RequestOf,
  Warning,
  LivePublication,
  WirePublication,
} from "../protocol/wire.ts";
import { defaultBackoff, type Backoff, type BackoffOptions } from "./backoff.ts";
import type { Channel, ChannelHandle } from "./channel.ts";
import { ChannelRegistry } from "./channels.ts";
import { ReconnectingConnection, type ConnectionPhase, type ConnectionProblem } from "./connection.ts";
import { Emitter, type Listener, type Off } from "./emitter.ts";
import { TidegateError } from "./errors.ts";
import { Pacer } from "./pacer.ts";
import { createRequests, withRetries, type Requests } from "./requests.ts";
import { createSocket, type GatewaySocket } from "./socket.ts";
import type { ChannelSubscription } from "./subscription.ts";
import { createTokens, type TokenProvider, type TokenSource } from "./tokens.ts";
import type { ChannelItem } from "./position.ts";

export interface ConnectOptions {
  /** The token, or a function that returns one; called for every connection and before the token expires. */
  token: TokenProvider;
  /** Timeout of a request. @default 10_000 */
  requestTimeoutMs?: number;
  /** Timeout of a connection attempt. @default 10_000 */
  connectTimeoutMs?: number;
  /** Delays between connection attempts and between retries. */
  backoff?: BackoffOptions;
  /** Max concurrent subscribe requests. @default 16 */
  subscribesAtOnce?: number;
  /**
   * Options of Socket.IO's client: `path`, `transports`, `extraHeaders` and others. @default WebSocket, else polling
   */
  socket?: Partial<ManagerOptions & SocketOptions>;
}

/** `recovering`: connected, and some channel is still recovering missed publications. `closed`: permanently. */
export type ClientState = "connecting" | "connected" | "recovering" | "disconnected" | "closed";

export interface ClientEvents {
  /** `error`: why there is no connection; `retryInMs`: delay before the next attempt. */
  state: { state: ClientState; previous: ClientState; error?: TidegateError; retryInMs?: number };
  /** The node's `ready`, on every connection. */
  ready: Ready;
  /** The token expires soon. With a token function the client refreshes it by itself. */
  expiring: { expiresAt: number };
  /** The gateway is about to disconnect this client. */
  closing: Closing;
  /** The node is draining; the client moves to another by itself. */
  drain: { reconnectAfterMs: number };
  /** The gateway reports a message of yours that nothing handles, once per connection and event. */
  warning: Warning;
  /** An error that no call rejects with: refreshing the token failed. */
  error: TidegateError;
  /** Closed permanently: by `close`, or by the gateway for a reason that reconnecting cannot resolve. */
  closed: TidegateError;
}

/** A client without live views: channels and requests. */
export interface ChannelClient<C extends Contract = OpenContract> {
  readonly state: ClientState;
  /** The last `ready`: node, user, session. */
  readonly ready: Ready | undefined;
  /** Round trip of the last answered request in milliseconds. */
  readonly roundTripMs: number | undefined;
  /** Socket.IO's socket, for your own events. */
  readonly socket: GatewaySocket<C>;
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): Off;
  /** Returns the same object for the same name. A contract states the channel's events and data. */
  channel<Name extends string>(name: Name): Channel<PublicationData<C, Name>, unknown, PublicationInputs<C, Name>>;
  channel<Events extends object = Record<string, unknown>, Snapshot = unknown>(name: string): Channel<Events, Snapshot>;
  /** Sends any request of the protocol. Rejects with a TidegateError. */
  request<Name extends RequestName>(name: Name, message: RequestOf<Name>): Promise<AnswerOf<Name>>;
  /** Reconnects at once instead of waiting for the next attempt. */
  reconnectNow(): void;
  close(): void;
}

const defaults = { requestTimeoutMs: 10_000, connectTimeoutMs: 10_000, subscribesAtOnce: 16 };

/** Nobody waits longer in front of a page that was just opened again. */
const maxWakeTimeoutMs = 5_000;

/** Max retries of a failed token refresh. */
const refreshRetries = 5;

/** Connects the parts: connection, requests, channels. */
export class ConnectedClient implements ChannelClient {
  readonly socket: GatewaySocket;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #tokens: TokenSource;
  readonly #requests: Requests;
  readonly #backoff: Backoff;
  readonly #channels: ChannelRegistry;
  readonly #connection: ReconnectingConnection;
  readonly #stopWatching: Off;
  #phase: ConnectionPhase = "connecting";
  #state: ClientState = "connecting";
  #ready: Ready | undefined;

  constructor(url: string, options: ConnectOptions) {
    const { requestTimeoutMs, connectTimeoutMs, subscribesAtOnce } = { ...defaults, ...options };
    this.socket = createSocket(url, connectTimeoutMs, options.socket);
    this.#tokens = createTokens(options.token);
    this.#requests = createRequests(this.socket, requestTimeoutMs);
    this.#backoff = { ...defaultBackoff, ...options.backoff };
    // Registered before the connection's listeners, so that `closing` is emitted before its consequences.
    this.#listen();
    this.#channels = this.#createChannels(new Pacer(subscribesAtOnce));
    this.#connection = this.#createConnection(connectTimeoutMs, Math.min(requestTimeoutMs, maxWakeTimeoutMs));
    this.#stopWatching = whenAwake(() => this.#connection.wake());
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
    // The caller states the types of the channel's data; nothing here depends on them.
    return this.handleOf(name) as Channel<Events, Snapshot>;
  }

  protected handleOf(channel: string): ChannelHandle {
    return this.#channels.get(channel);
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

  #createChannels(pacer: Pacer): ChannelRegistry {
    const link = {
      request: this.#requests.request,
      pacer,
      backoff: this.#backoff,
      connection: () => this.#connection.number,
      closedBy: () => this.#requests.closedBy,
    };
    return new ChannelRegistry(link, () => this.#update());
  }

  #createConnection(connectTimeoutMs: number, wakeTimeoutMs: number): ReconnectingConnection {
    const each = (step: (subscription: ChannelSubscription) => void): void => {
      for (const { subscription } of this.#channels) step(subscription);
    };
    const options = { backoff: this.#backoff, connectTimeoutMs, wakeTimeoutMs };
    return new ReconnectingConnection(this.socket, this.#tokens, options, {
      phase: (phase, trouble) => this.#enter(phase, trouble),
      payloadLimit: (maxBytes) => this.#requests.setPayloadLimit(maxBytes),
      connected: (recovered) => each((subscription) => subscription.connected(recovered)),
      recoveryEnded: ({ positions = [] }) => {
        const byName = new Map(positions.map((position) => [position.channel, position]));
        each((subscription) => subscription.recoveryEnded(byName));
      },
      disconnected: () => each((subscription) => subscription.disconnected()),
    });
  }

  #listen(): void {
    const { socket } = this;
    socket.onAny((event: string, ...args: unknown[]) => {
      const item = channelItem(event, args);
      if (item !== undefined) this.#subscription(item.channel)?.receive(item);
    });
    socket.on("unsubscribed", (unsubscribed) => this.#subscription(unsubscribed.channel)?.unsubscribed(unsubscribed));
    socket.on("state", (changes) => this.#channels.find(changes.channel)?.emitChanges(changes));
    socket.on("presence", (change) => this.#channels.find(change.channel)?.emitPresence(change));
    socket.on("ready", (ready) => this.#emitter.emit("ready", (this.#ready = ready)));
    for (const name of ["closing", "drain", "warning"] as const)
      socket.on(name, (argument: ClientEvents[typeof name]) => this.#emitter.emit(name, argument));
    socket.on("auth:expiring", (expiring) => {
      this.#emitter.emit("expiring", expiring);
      if (this.#tokens.canRefresh) void this.#refresh();
    });
  }

  #subscription(channel: string): ChannelSubscription | undefined {
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

  #enter(phase: ConnectionPhase, trouble?: ConnectionProblem): void {
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

  #update(trouble?: ConnectionProblem): void {
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

/**
 * What an event of the socket brings to a channel. Channels with `"deliver": "event"` send publications under their own
 * names, as `(data, { channel, epoch, offset, publishedAt, from? }, …)`. Undefined for any other event.
 */
function channelItem(event: string, [first, place]: readonly unknown[]): ChannelItem | LivePublication | undefined {
  if (event === "publication" || event === "position") return first as ChannelItem;
  const { channel, publishedAt } = Object(place) as Partial<WirePublication>;
  return channel && publishedAt ? { ...(place as WirePublication), event, data: first } : undefined;
}

interface BrowserPage {
  addEventListener(type: string, listener: (event: { type: string }) => void): void;
  removeEventListener(type: string, listener: (event: { type: string }) => void): void;
  document?: { hidden: boolean };
}

const wakingEvents = ["online", "pageshow", "visibilitychange"];

/**
 * Calls `run` when a browser reports that the network is back, or that the page is seen again: after a sleep, in
 * another tab, frozen, or in the cache for going back. Does nothing elsewhere.
 */
function whenAwake(run: () => void): Off {
  const page = globalThis as Partial<BrowserPage>;
  const listener = ({ type }: { type: string }): void => void ((type !== "online" && page.document?.hidden) || run());
  for (const name of wakingEvents) page.addEventListener?.(name, listener);
  return () => {
    for (const name of wakingEvents) page.removeEventListener?.(name, listener);
  };
}
