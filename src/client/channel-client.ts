import type { ManagerOptions, SocketOptions } from "socket.io-client";
import type { Contract, OpenContract, PublicationData, PublicationInputs } from "../protocol/contract/contract.ts";
import type { LivePublication, WirePublication } from "../protocol/wire.ts";
import type { BackoffOptions } from "./backoff.ts";
import type { BaseClient, ClientEvents, InternalClient } from "./base-client.ts";
import type { Channel, ChannelHandle } from "./channel.ts";
import { createChannels } from "./channels.ts";
import { type ConnectionPhase, type ConnectionProblem, createConnection } from "./connection.ts";
import { createEmitter, type Off } from "./emitter.ts";
import { TidegateError } from "./errors.ts";
import { createPacer } from "./pacer.ts";
import type { ChannelItem } from "./position.ts";
import { createRequests, withRetries } from "./requests.ts";
import { createSocket } from "./socket.ts";
import { tokenOf, type TokenProvider } from "./tokens.ts";

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

/** A client without live views: channels and requests. */
export interface ChannelClient<C extends Contract = OpenContract> extends BaseClient<C> {
  /** Returns the same object for the same name. A contract states the channel's events and data. */
  channel<Name extends string>(name: Name): Channel<PublicationData<C, Name>, unknown, PublicationInputs<C, Name>>;
  channel<Events extends object = Record<string, unknown>, Snapshot = unknown>(name: string): Channel<Events, Snapshot>;
}

/** As its live views see it. */
export interface InternalChannelClient extends InternalClient {
  channel(name: string): ChannelHandle;
}

/** Nobody waits longer in front of a page that was just opened again. */
const maxWakeTimeoutMs = 5_000;

/** Max retries of a failed token refresh. */
const refreshRetries = 5;

/** Connects the parts: connection, requests, channels. */
export function createClient(url: string, options: ConnectOptions): InternalChannelClient {
  const { token, requestTimeoutMs = 10_000, connectTimeoutMs = 10_000, backoff } = options;
  const { on, emit } = createEmitter<ClientEvents>();
  const socket = createSocket(url, connectTimeoutMs, options.socket);
  const client: InternalChannelClient = {
    socket,
    state: "connecting",
    ready: undefined,
    roundTripMs: undefined,
    on,
    channel: (name: string) => channels._get(name),
    request: (name, message) => request(name, message),
    reconnectNow: () => connection._connect(),
    close: () => connection._close(new TidegateError("closed", "The client was closed.")),
    _backoff: backoff,
    _pace: createPacer(options.subscribesAtOnce ?? 16),
    _maxBytes: Infinity,
  };
  const request = createRequests(client, requestTimeoutMs);
  let phase: ConnectionPhase = "connecting";

  const update = (problem?: ConnectionProblem): void => {
    const previous = client.state;
    const state = phase === "connected" && channels._recovering.size > 0 ? "recovering" : phase;
    if (state === previous) return;
    client.state = state;
    emit("state", { state, previous, ...problem });
  };

  const channels = createChannels(client, update);
  const each = (step: (channel: ChannelHandle) => void): void => [...channels._inUse].forEach(step);

  const refresh = async (): Promise<void> => {
    const refreshOnce = async () => request("auth:refresh", { token: await tokenOf(token) });
    try {
      await withRetries(refreshOnce, refreshRetries, backoff);
    } catch (error) {
      emit("error", error as TidegateError);
    }
  };

  const end = (reason: TidegateError): void => {
    stopWatching();
    client._closedBy = reason;
    each((channel) => channel._end(reason));
    emit("closed", reason);
  };

  // Registered before the connection's listeners, so that `closing` is emitted before its consequences.
  socket.onAny((event: string, ...args: unknown[]) => {
    const item = channelItem(event, args);
    if (item) channels._find(item.channel)?._receive(item);
  });
  socket.on("unsubscribed", (event) => channels._find(event.channel)?._unsubscribed(event));
  socket.on("state", (changes) => channels._find(changes.channel)?._emit("changes", changes));
  socket.on("presence", (change) => channels._find(change.channel)?._emit("presence", change));
  socket.on("ready", (ready) => {
    emit("ready", (client.ready = ready));
    const positions = new Map(ready.positions?.map((position) => [position.channel, position]));
    each((channel) => channel._recoveryEnded(positions));
  });
  for (const name of ["closing", "drain", "warning"] as const)
    socket.on(name, (argument: ClientEvents[typeof name]) => emit(name, argument));
  socket.on("auth:expiring", (expiring) => {
    emit("expiring", expiring);
    if (typeof token !== "string") void refresh();
  });

  const connection = createConnection(client, {
    _provider: token,
    _connectTimeoutMs: connectTimeoutMs,
    _wakeTimeoutMs: Math.min(requestTimeoutMs, maxWakeTimeoutMs),
    _connected: (recovered) => each((channel) => channel._connected(recovered)),
    _phaseChanged(next, problem) {
      phase = next;
      update(problem);
      if (problem && next === "closed") end(problem.error);
    },
  });
  socket.on("disconnect", () => each((channel) => channel._disconnected()));
  const stopWatching = whenAwake(connection._wake);
  connection._connect();
  return client;
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

/**
 * Calls `run` when a browser reports that the network is back, or that the page is seen again: after a sleep, in
 * another tab, frozen, or in the cache for going back. Does nothing elsewhere.
 */
function whenAwake(run: () => void): Off {
  const page = globalThis as Partial<BrowserPage>;
  const listener = ({ type }: { type: string }): void => void ((type !== "online" && page.document?.hidden) || run());
  const each = (method: "addEventListener" | "removeEventListener"): void =>
    ["online", "pageshow", "visibilitychange"].forEach((name) => page[method]?.(name, listener));
  each("addEventListener");
  return () => each("removeEventListener");
}
