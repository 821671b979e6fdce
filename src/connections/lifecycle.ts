import { Socket } from "socket.io";
import type { RestoredSubscriptions } from "../channels/subscription.ts";
import { catalogueCodeOf, closing, type Closing } from "../protocol/closings.ts";
import { isTemporary } from "../protocol/errors.ts";
import { isReservedEvent } from "../protocol/reserved-events.ts";
import type { Ready } from "../protocol/wire.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { ReasonLog } from "../runtime/reason-log.ts";
import type { Connection } from "./connection.ts";
import { refusalOf } from "../commands/refusal.ts";
import type { ConnectionRegistry } from "./connections.ts";
import type { ConnectionRequests } from "./connection-requests.ts";
import type { AppEvents, Dispatch, SocketListeners } from "./dispatch.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import type { AuthenticatedConnection } from "./handshake.ts";
import type { ConnectionWriter } from "../engine/connection-writer.ts";
import { Frame } from "../engine/frames.ts";
import { ProtocolFault } from "../engine/parser.ts";
import { NamespaceConnection } from "./namespace-connection.ts";
import { SocketConnection, type SharedConnectionContext } from "./socket-connection.ts";
import { InFlightCounter } from "./in-flight.ts";
import {
  acknowledge,
  engineSocketOf,
  hideFromAnyListeners,
  privateIdOf,
  refuseConnects,
  shrinkClient,
} from "./socket-io.ts";

/** Called when clients connect and disconnect. */
export interface LifecycleHooks {
  /**
   * Runs before `ready` is sent. If it fails because Redis is away, the transport is closed and the client retries; on
   * other errors the client is closed with `internal`. Requests that name the client's own `user:` channel wait for it.
   */
  onConnect?: ((connection: Connection, client: ConnectContext) => Promise<void> | void) | undefined;
  /** Runs once, after `onConnect` and all handlers of the connection have ended. */
  onDisconnect?: ((connection: Connection, reason: string, mayReturn: boolean) => Promise<void> | void) | undefined;
  /** The offset that a client sends back for Socket.IO's connection state recovery. Omit to disable that recovery. */
  timestampOf?: ((connection: Connection) => number) | undefined;
}

/** Why a connection ended: the code of a closing, or Socket.IO's disconnect reason. */
interface DisconnectContext {
  reason: string;
  /** Whether its client may reconnect and recover. */
  mayReturn: boolean;
}

/** How a client connected. */
export interface ConnectContext {
  /** Secret recovery id; undefined if connection state recovery is disabled. */
  privateId: string | undefined;
  /** Recovered subscriptions; undefined for a new session. */
  restored: RestoredSubscriptions | undefined;
  /** True for streams, which are not subscribed to the user's own channel. @default false */
  namesItsChannels?: boolean;
}

export interface ConnectionLifecycleDeps extends LifecycleHooks {
  dispatch: Dispatch;
  /** Omit to ignore listeners of sockets. */
  app?: AppEvents | undefined;
  registry: ConnectionRegistry;
  metrics: Pick<Metrics, "connections" | "handshakes" | "closings" | "queueBytes">;
  clock: Clock;
  failures: ErrorReporter;
  /** Omit to count closings only. */
  reasons?: Pick<ReasonLog, "record"> | undefined;
  log: Logger;
}

interface ActiveConnection {
  requests: ConnectionRequests;
  transport: string;
}

/** All connections of this node, from the connect hook to the disconnect hook. */
export class ConnectionLifecycle {
  readonly #deps: ConnectionLifecycleDeps;
  readonly #nodeId: string;
  readonly #context: SharedConnectionContext;
  readonly #active = new Map<SocketConnection, ActiveConnection>();
  readonly #counters: { recovered: { inc(): void }; accepted: { inc(): void } };
  readonly #pendingDisconnects = new InFlightCounter();
  readonly #held: HeldAnswers;
  readonly #onDisconnect: (this: Socket, reason: string) => void;
  readonly #onError: (this: Socket, error: Error) => void;

  constructor(deps: ConnectionLifecycleDeps, nodeId: string) {
    this.#deps = deps;
    this.#nodeId = nodeId;
    this.#held = new HeldAnswers(deps.clock);
    const disconnected = this.#disconnected.bind(this);
    const failed = this.#failed.bind(this);
    this.#onError = function (this: Socket, error: Error) {
      failed(this, error);
    };
    // One function for all connections, to save the memory of a closure per connection.
    this.#onDisconnect = function (this: Socket, reason: string) {
      disconnected(connectionOf(this), reason);
    };
    const { handshakes } = deps.metrics;
    // Found once: the names of labels would be sorted and joined for each.
    this.#counters = {
      recovered: handshakes.labels({ outcome: "recovered" }),
      accepted: handshakes.labels({ outcome: "accepted" }),
    };
    // Computed on each scrape.
    Object.assign(deps.metrics.queueBytes, { collect: () => deps.metrics.queueBytes.set(this.#queuedBytes()) });
    this.#context = {
      clock: deps.clock,
      timestampOf: deps.timestampOf,
      onIdentity: (connection, previous) => this.#deps.registry.renew(connection, previous),
      onClose: (connection, closing) => this.#close(connection, closing),
    };
  }

  /** Creates a connection that is not registered yet. */
  connect(socket: Socket, authenticated: AuthenticatedConnection): SocketConnection {
    return new SocketConnection(socket, authenticated, this.#context);
  }

  /** `socket` is the one with which the client has authenticated, nearly always of the main namespace. */
  start(socket: Socket, connection: SocketConnection, restored?: RestoredSubscriptions): void {
    shrinkClient(socket);
    const requests = this.#deps.dispatch.open(connection);
    if (isMain(socket)) refuseConnects(socket);
    this.#register(socket, connection, { requests, restored });
    this.#receive(
      socket,
      isMain(socket) ? requests : requests.inNamespace(new NamespaceConnection(connection, socket)),
    );
    socket.on("disconnect", this.#onDisconnect);
    socket.disconnect = disconnectWithReason;
  }

  /** A packet that clients may not send, or an event that middleware of the app has refused, which nothing answers. */
  #failed(socket: Socket, error: Error): void {
    if (error instanceof ProtocolFault)
      connectionOf(socket)?.close(closing("protocol_error", { message: error.message }));
    else if (socket.listenerCount("error") <= ownErrorListeners) this.#deps.failures.report("app.middleware", error);
  }

  #disconnected(connection: SocketConnection | undefined, reason: string): void {
    if (connection === undefined) return;
    connection.end();
    this.#unregister(connection, { reason, mayReturn: reason !== "client namespace disconnect" });
  }

  /** The client has entered a further namespace. False if its connection has ended. */
  enter(socket: Socket, connection: SocketConnection): boolean {
    const active = this.#active.get(connection);
    if (active === undefined) return false;
    this.#receive(socket, active.requests.inNamespace(new NamespaceConnection(connection, socket)));
    return true;
  }

  #receive(socket: Socket, requests: ConnectionRequests): void {
    // Calls `next` only for events that have listeners: Socket.IO's emitter must not receive other names of clients.
    socket.use((packet, next) =>
      this.#deps.dispatch.receive(requests, packet, this.#deps.app && listenersOf(socket, packet, next)),
    );
    socket.on("error", this.#onError);
    if (this.#deps.app !== undefined) hideFromAnyListeners(socket);
  }

  #queuedBytes(): number {
    let sum = 0;
    for (const { queuedBytes } of this.#active.keys()) sum += queuedBytes;
    return sum;
  }

  /** Resolves when every disconnect hook has ended. */
  idle(): Promise<void> {
    return this.#pendingDisconnects.idle();
  }

  #register(
    socket: Socket,
    connection: SocketConnection,
    { requests, restored }: { requests: ConnectionRequests; restored: RestoredSubscriptions | undefined },
  ): void {
    const { metrics } = this.#deps;
    const conn = engineSocketOf(socket);
    this.#held.add(conn.writer);
    requests.connecting = this.#connect(
      connection,
      { privateId: isMain(socket) ? privateIdOf(socket) : undefined, restored },
      () => {
        requests.connecting = undefined;
        conn.writer.release();
      },
    );
    const active: ActiveConnection = { requests, transport: conn.transport.name };
    this.#deps.registry.add(connection);
    this.#active.set(connection, active);
    (restored !== undefined ? this.#counters.recovered : this.#counters.accepted).inc();
    metrics.connections.inc({ transport: active.transport });
    this.#deps.log.debug(
      logFieldsOf(connection, active),
      restored !== undefined ? "recovered a connection" : "connected",
    );
    if (active.transport === "polling") conn.once("upgrade", () => this.#countUpgrade(connection, active));
  }

  #countUpgrade(connection: SocketConnection, active: ActiveConnection): void {
    if (!this.#active.has(connection)) return;
    const { metrics } = this.#deps;
    metrics.connections.dec({ transport: active.transport });
    active.transport = "websocket";
    metrics.connections.inc({ transport: active.transport });
  }

  async #connect(connection: SocketConnection, arrival: ConnectContext, connected: () => void): Promise<void> {
    const { restored } = arrival;
    // The connection must be registered before anything can end it.
    await Promise.resolve();
    try {
      await this.#deps.onConnect?.(connection, arrival);
      for (const packet of restored?.packets() ?? []) connection.deliver(Frame.text(packet));
      connection.emit("ready", this.#readyOf(connection, restored), ...this.#offsetOf(connection));
    } catch (error) {
      this.#refuse(connection, error);
    }
    restored?.release();
    connected();
  }

  /** Socket.IO has confirmed the connection already, so it cannot be refused any more. */
  #refuse(connection: SocketConnection, error: unknown): void {
    const { code } = refusalOf(error);
    // The last two: the subscription to the user's own channel ended while it began.
    const mayRetry = isTemporary(code) || code === "not_subscribed" || code === "forbidden";
    if (code !== "internal" && mayRetry) return connection.end();
    this.#deps.failures.report("socket.connect", error);
    connection.close(closing("internal"));
  }

  /** Second argument of `ready`: the recovery offset of a stock client that has received nothing else. */
  #offsetOf(connection: Connection): string[] {
    const timestamp = this.#deps.timestampOf?.(connection);
    return timestamp === undefined ? [] : [`${timestamp}`];
  }

  #readyOf({ identity }: Connection, restored: RestoredSubscriptions | undefined): Ready {
    const { userId, sessionId, expiresAt } = identity;
    const serverTime = this.#deps.clock.now();
    const ready = {
      nodeId: this.#nodeId,
      userId,
      sessionId,
      expiresAt,
      recovered: restored !== undefined,
      serverTime,
    };
    if (restored === undefined) return ready;
    const positions = [...restored.positions].map(([channel, position]) => ({ channel, ...position }));
    return { ...ready, positions };
  }

  #close(connection: SocketConnection, { code, reconnect }: Closing): void {
    const { id: connectionId, address } = connection;
    const { userId, sessionId } = connection.identity;
    this.#deps.metrics.closings.inc({ code: catalogueCodeOf(code) });
    this.#deps.reasons?.record({ kind: "closing", code, connectionId, userId, sessionId, address });
    this.#unregister(connection, { reason: code, mayReturn: reconnect });
  }

  /** Unregisters at once; the disconnect hook runs when no handler of the connection is in flight any more. */
  #unregister(connection: SocketConnection, departure: DisconnectContext): void {
    const active = this.#active.get(connection);
    if (active === undefined) return;
    this.#active.delete(connection);
    this.#deps.registry.remove(connection);
    this.#deps.metrics.connections.dec({ transport: active.transport });
    this.#deps.log.debug({ ...logFieldsOf(connection, active), reason: departure.reason }, "disconnected");
    void this.#runDisconnectHook(connection, active, departure);
  }

  async #runDisconnectHook(
    connection: Connection,
    { requests }: ActiveConnection,
    { reason, mayReturn }: DisconnectContext,
  ): Promise<void> {
    const { onDisconnect, failures } = this.#deps;
    this.#pendingDisconnects.begin();
    try {
      await requests.connecting;
      await requests.inFlight.idle();
      await onDisconnect?.(connection, reason, mayReturn);
    } catch (error) {
      failures.report("socket.disconnect", error);
    } finally {
      this.#pendingDisconnects.end();
    }
  }
}

/** A client whose `ready` takes at least this long is told before that it has connected, after at most twice as long. */
const holdMs = 250;

/** Holds back Socket.IO's answers to handshakes, so that they leave in one write with `ready`. One timer for all. */
class HeldAnswers {
  readonly #clock: Clock;
  #recent: ConnectionWriter[] = [];
  #isTimed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until `release` of the writer. */
  add(writer: ConnectionWriter): void {
    writer.hold();
    this.#recent.push(writer);
    if (!this.#isTimed) this.#releaseLater([]);
  }

  #releaseLater(older: readonly ConnectionWriter[]): void {
    this.#isTimed = this.#recent.length + older.length > 0;
    if (!this.#isTimed) return;
    this.#clock.after(holdMs, () => {
      for (const writer of older) writer.release();
      const next = this.#recent;
      this.#recent = [];
      this.#releaseLater(next);
    });
  }
}

const isMain = ({ nsp }: Socket): boolean => nsp.name === "/";

const logFieldsOf = ({ id, identity, address }: Connection, { transport }: Pick<ActiveConnection, "transport">) => ({
  connectionId: id,
  userId: identity.userId,
  sessionId: identity.sessionId,
  address,
  transport,
});

/** Names whose listeners are not for events of clients; `error` has one of the gateway. */
const isOfSocketIo = (event: string): boolean => isReservedEvent(event) || event === "error";

/** The listeners that an app has added to its socket. They receive an acknowledgement in place of the receipt. */
const listenersOf = (socket: Socket, packet: unknown[], next: () => void): SocketListeners => ({
  has(event) {
    return this.isFor(event) || (!isOfSocketIo(event) && socket.listenersAny().length > 0);
  },
  isFor: (event) => !isOfSocketIo(event) && socket.listenerCount(event) > 0,
  call(id, args, onUnsendable) {
    packet.splice(1, Infinity, ...args);
    if (id !== undefined)
      packet.push((...answer: unknown[]) => {
        try {
          acknowledge(socket, id, answer);
        } catch (error) {
          onUnsendable(error);
        }
      });
    this.show(packet);
    next();
  },
  show(event) {
    for (const listener of socket.listenersAny()) listener.apply(socket, [...event]);
  },
});

/** Undefined before `connect`. */
function connectionOf(socket: Socket): SocketConnection | undefined {
  const { owner } = engineSocketOf(socket);
  return owner instanceof SocketConnection ? owner : undefined;
}

/** In place of Socket.IO's own: what was sent before arrives, then `closing`, and stock clients stay disconnected. */
function disconnectWithReason(this: Socket, all = false): Socket {
  const connection = connectionOf(this);
  if (connection?.isOpen !== true) return Socket.prototype.disconnect.call(this, all);
  connection.disconnect(all);
  return this;
}

/** Listeners for `error` that Socket.IO and the gateway add to each socket. */
const ownErrorListeners = 2;
