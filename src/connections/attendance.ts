import type { Socket } from "socket.io";
import type { Restored } from "../channels/answers.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import { isTemporary } from "../protocol/errors.ts";
import { userChannelOf } from "../protocol/names.ts";
import type { Ready } from "../protocol/wire.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Connection } from "./connection.ts";
import { refusalOf } from "../commands/refusal.ts";
import type { SendEach } from "../engine/accelerator.ts";
import { ConnectionRegistry, type Connections } from "./connections.ts";
import type { Dispatch, Inbox } from "./dispatch.ts";
import type { Failures } from "./failures.ts";
import type { Entrant } from "./handshake.ts";
import { privateIdOf } from "./returns.ts";
import { Frame } from "../engine/batch.ts";
import { createDirectWrite } from "../engine/direct-write.ts";
import { ProtocolFault } from "../engine/parser.ts";
import { SocketConnection, type ConnectionContext } from "./socket-connection.ts";
import { Turn } from "../engine/turn.ts";
import { Unfinished } from "./unfinished.ts";
import { Volley } from "../engine/volley.ts";

/** What the rest of the gateway does when somebody comes or goes. */
export interface AttendanceHooks {
  /**
   * Runs before `ready` is said. If it fails because the store is away, the client is cut off and tries again; if it fails
   * otherwise, the client is closed with `internal`. Requests of the client that name its own `user:` channel wait for it.
   */
  onConnect?: ((connection: Connection, client: Arrival) => Promise<void> | void) | undefined;
  /** Runs once, when `onConnect` and all handlers of the connection have ended: nothing can come after it. */
  onDisconnect?: ((connection: Connection, reason: string, mayReturn: boolean) => Promise<void> | void) | undefined;
  /** What the client is to hand back when it returns by Socket.IO's own recovery. Absent: that is off. */
  stampOf?: ((connection: Connection) => number) | undefined;
}

/** Why a connection ended: a closing's code, or Socket.IO's word for a client's leaving. */
interface Departure {
  reason: string;
  /** Whether its client is expected back. */
  mayReturn: boolean;
}

/** How a client has come. */
export interface Arrival {
  /** What it can come back with, where Socket.IO's own recovery is on. */
  privateId: string | undefined;
  /** What was taken up of its past; undefined for a new one. */
  restored: Restored | undefined;
}

export interface AttendanceDeps extends AttendanceHooks {
  dispatch: Dispatch;
  metrics: Pick<Metrics, "connections" | "handshakes" | "closings" | "skipped" | "queueBytes">;
  clock: Clock;
  failures: Failures;
  /** Absent: each connection is written to by itself. */
  accelerator?: SendEach | undefined;
}

export interface AttendanceOptions {
  nodeId: string;
  closeTimeoutMs: number;
  /** Bytes that may wait for one client. */
  queueBytes: number;
}

interface Visit {
  inbox: Inbox;
  /** Undefined once it is. */
  welcomed: Promise<void> | undefined;
  transport: string;
}

/** Everybody who is here, from the welcome to the goodbye. */
export class Attendance {
  readonly #deps: AttendanceDeps;
  readonly #nodeId: string;
  readonly #context: ConnectionContext;
  readonly #registry = new ConnectionRegistry();
  readonly #visits = new Map<SocketConnection, Visit>();
  readonly #farewells = new Unfinished();

  constructor(deps: AttendanceDeps, { nodeId, closeTimeoutMs, queueBytes }: AttendanceOptions) {
    this.#deps = deps;
    this.#nodeId = nodeId;
    // Summed up whenever somebody looks.
    Object.assign(deps.metrics.queueBytes, { collect: () => deps.metrics.queueBytes.set(this.#waitingBytes()) });
    const failed = (error: unknown): void => deps.failures.report("socket.write", error);
    const volley = deps.accelerator && new Volley(deps.accelerator, failed);
    this.#context = {
      clock: deps.clock,
      failures: deps.failures,
      closeTimeoutMs,
      queueBytes,
      turn: new Turn(failed, volley),
      writeDirectly: createDirectWrite(),
      volley,
      onSkipped: ({ conflated, volatile }) => {
        deps.metrics.skipped.inc({ reason: "conflated" }, conflated);
        deps.metrics.skipped.inc({ reason: "volatile" }, volatile);
      },
      stampOf: deps.stampOf,
      onIdentity: (connection, previous) => this.#registry.renew(connection, previous),
      onClose: (connection, closing) => this.#close(connection, closing),
    };
  }

  get connections(): Connections {
    return this.#registry;
  }

  /** A connection that is not yet one of those who are here. */
  connect(socket: Socket, entrant: Entrant): SocketConnection {
    return new SocketConnection(socket, entrant, this.#context);
  }

  begin(socket: Socket, connection: SocketConnection, restored?: Restored): void {
    const inbox = this.#deps.dispatch.open(connection);
    this.#enroll(socket, connection, { inbox, restored });
    // Never calls on: Socket.IO's own emitter is not to meet names that strangers choose.
    socket.use((packet) => this.#deps.dispatch.receive(inbox, packet));
    socket.on("error", (error) => connection.close(closingFor(error)));
    socket.on("disconnect", (reason) => {
      connection.end();
      this.#leave(connection, { reason, mayReturn: reason !== "client namespace disconnect" });
    });
  }

  #waitingBytes(): number {
    let sum = 0;
    for (const { waitingBytes } of this.#visits.keys()) sum += waitingBytes;
    return sum;
  }

  /** Resolves when every goodbye has been said. */
  idle(): Promise<void> {
    return this.#farewells.idle();
  }

  #enroll(
    socket: Socket,
    connection: SocketConnection,
    { inbox, restored }: { inbox: Inbox; restored: Restored | undefined },
  ): void {
    const { metrics } = this.#deps;
    const welcomed = this.#welcome(connection, inbox, { privateId: privateIdOf(socket), restored });
    const visit: Visit = { inbox, welcomed, transport: socket.conn.transport.name };
    this.#registry.add(connection);
    this.#visits.set(connection, visit);
    metrics.handshakes.inc({ outcome: socket.recovered ? "recovered" : "accepted" });
    metrics.connections.inc({ transport: visit.transport });
    if (visit.transport === "polling") socket.conn.once("upgrade", () => this.#countUpgrade(connection, visit));
  }

  #countUpgrade(connection: SocketConnection, visit: Visit): void {
    if (!this.#visits.has(connection)) return;
    const { metrics } = this.#deps;
    metrics.connections.dec({ transport: visit.transport });
    visit.transport = "websocket";
    metrics.connections.inc({ transport: visit.transport });
  }

  async #welcome(connection: SocketConnection, inbox: Inbox, arrival: Arrival): Promise<void> {
    const { restored } = arrival;
    // The visit is to be known before anything can end it.
    await Promise.resolve();
    try {
      // In the channel's lane: what the client asks about it in its `connect` handler comes after the server's own.
      const lane = userChannelOf(connection.identity.userId);
      await inbox.lanes.run(lane, async () => this.#deps.onConnect?.(connection, arrival));
      for (const packet of restored?.packets ?? []) connection.deliver(new Frame(packet));
      connection.emit("ready", this.#readyFor(connection, restored), ...this.#offsetOf(connection));
    } catch (error) {
      this.#refuse(connection, error);
    }
    restored?.flow();
    const visit = this.#visits.get(connection);
    if (visit !== undefined) visit.welcomed = undefined;
  }

  /** It has been told that it is connected, so it is too late for a refusal. */
  #refuse(connection: SocketConnection, error: unknown): void {
    const { code } = refusalOf(error);
    // `not_subscribed`: the subscription to its own channel was lost with publications of it while it began.
    if (isTemporary(code) || code === "not_subscribed") return connection.end();
    this.#deps.failures.report("socket.connect", error);
    connection.close(closing("internal"));
  }

  /** Second argument of `ready`, with which a stock client comes back when it has read nothing else. */
  #offsetOf(connection: Connection): string[] {
    const stamp = this.#deps.stampOf?.(connection);
    return stamp === undefined ? [] : [`${stamp}`];
  }

  #readyFor({ identity }: Connection, restored: Restored | undefined): Ready {
    const { userId, sessionId, expiresAt } = identity;
    const serverTime = this.#deps.clock.now();
    const greeting = {
      nodeId: this.#nodeId,
      userId,
      sessionId,
      expiresAt,
      recovered: restored !== undefined,
      serverTime,
    };
    if (restored === undefined) return greeting;
    const positions = [...restored.positions].map(([channel, position]) => ({ channel, ...position }));
    return { ...greeting, positions };
  }

  #close(connection: SocketConnection, { code, reconnect }: Closing): void {
    this.#deps.metrics.closings.inc({ code });
    this.#leave(connection, { reason: code, mayReturn: reconnect });
  }

  /** At once forgotten here, and said goodbye to when nothing is at work for it any more. */
  #leave(connection: SocketConnection, departure: Departure): void {
    const visit = this.#visits.get(connection);
    if (visit === undefined) return;
    this.#visits.delete(connection);
    this.#registry.remove(connection);
    this.#deps.metrics.connections.dec({ transport: visit.transport });
    void this.#sayGoodbye(connection, visit, departure);
  }

  async #sayGoodbye(
    connection: Connection,
    { welcomed, inbox }: Visit,
    { reason, mayReturn }: Departure,
  ): Promise<void> {
    const { onDisconnect, failures } = this.#deps;
    this.#farewells.begin();
    try {
      await welcomed;
      await inbox.unfinished.idle();
      await onDisconnect?.(connection, reason, mayReturn);
    } catch (error) {
      failures.report("socket.disconnect", error);
    } finally {
      this.#farewells.end();
    }
  }
}

const closingFor = (error: Error): Closing =>
  closing("protocol_error", error instanceof ProtocolFault ? { message: error.message } : {});
