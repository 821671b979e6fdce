import { Adapter } from "socket.io-adapter";
import type { Namespace, ServerOptions, Socket } from "socket.io";
import type { RestoredSubscriptions } from "../channels/subscription.ts";
import { isTemporary } from "../protocol/errors.ts";
import { randomId } from "../runtime/random-id.ts";
import type { Connection } from "./connection.ts";
import type { SessionRecovery, RecoveryAttempt } from "./session-recovery.ts";
import { refusalOf } from "../commands/refusal.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import type { AuthenticatedConnection } from "./handshake.ts";
import { connectionOf, type SocketConnection } from "./socket-connection.ts";
import { engineSocketOf, freeId, reportUnrestored, startNewSession } from "./socket-io.ts";
import { rememberRooms, stateOf } from "./socket-state.ts";

/** A connection whose session was resumed before Socket.IO confirms it to the client. */
export interface ResumedConnection {
  connection: SocketConnection;
  restored: RestoredSubscriptions;
}

/** A client that claims to have been connected before. */
export type ReturningClient = Pick<Connection, "id" | "identity">;

export interface RecoveryAdapterDeps {
  recovery: Pick<SessionRecovery, "find" | "restore" | "abandon" | "windowMs" | "roomsChanged" | "socketStateOf">;
  /** The authenticated client of a socket. */
  authenticatedOf: (socket: Socket) => AuthenticatedConnection | undefined;
  connect: (socket: Socket, authenticated: AuthenticatedConnection) => SocketConnection;
  /** Called with what was restored, or why nothing was. */
  onRecovery?: ((client: ReturningClient, from: number, restored: RestoredSubscriptions | string) => void) | undefined;
  failures: ErrorReporter;
}

/**
 * Socket.IO's connection state recovery with authentication first. Socket.IO itself would restore a socket and send the
 * missed packets before it checks the token; here the adapter only reports that a session is known. After the client has
 * authenticated, its subscriptions are resumed; if that fails, it becomes a new socket with a new id.
 */
export class RecoveryAdapter {
  readonly #deps: RecoveryAdapterDeps;
  /** By the `data` of the socket that Socket.IO makes of it. */
  readonly #attempts = new WeakMap<object, RecoveryAttempt | FailedLookup>();
  /** By the id of the socket, until that is connected. */
  readonly #resumed = new Map<string, ResumedConnection & { socket: Socket }>();

  constructor(deps: RecoveryAdapterDeps) {
    this.#deps = deps;
  }

  /** Extends the given adapter, or Socket.IO's in-memory one, with session recovery. */
  adapter(make: ServerOptions["adapter"] | undefined): ServerOptions["adapter"] {
    const Room = (make ?? Adapter) as new (namespace: Namespace) => Adapter;
    const forMain = (adapter: Adapter, namespace: Namespace): Adapter => this.#forMain(adapter, namespace);
    // Socket.IO calls it with `new`, so it cannot be an arrow function.
    return function (namespace: Namespace) {
      const adapter = new Room(namespace);
      // Channels, which are what is recovered, belong to the main namespace.
      return namespace.name === "/" ? forMain(adapter, namespace) : Object.assign(adapter, withoutRecovery);
    };
  }

  #forMain(adapter: Adapter, { sockets }: Namespace): Adapter {
    const [addAll, del] = [adapter.addAll.bind(adapter), adapter.del.bind(adapter)];
    const changed = (id: string, rooms: Iterable<unknown>): void => {
      const socket = sockets.get(id);
      const connection = socket && connectionOf(socket);
      if (connection !== undefined) this.#deps.recovery.roomsChanged(connection, rooms);
    };
    return Object.assign(adapter, {
      restoreSession: (privateId: string, offset: string) => this.#find(privateId, offset),
      persistSession({ sid, rooms }: { sid: string; rooms: string[] }) {
        const socket = sockets.get(sid);
        if (socket !== undefined) rememberRooms(socket, rooms);
      },
      addAll(id: string, rooms: Set<string>) {
        const added = addAll(id, rooms);
        changed(id, rooms);
        return added;
      },
      del(id: string, room: string) {
        const deleted = del(id, room);
        changed(id, [room]);
        return deleted;
      },
    });
  }

  /** Namespace middleware; runs after the handshake's. */
  resume(socket: Socket, next: (error?: Error) => void): void {
    if (!socket.recovered) {
      this.#reportUnknown(socket);
      return next();
    }
    this.#resume(socket)
      .then((isResumed) => isResumed || startNewSession(socket))
      .catch((error: unknown) => this.#failed(socket, error))
      .finally(() => next());
  }

  /** The client named a session that was not found. */
  #reportUnknown(socket: Socket): void {
    const { pid, offset } = socket.handshake.auth as { pid?: unknown; offset?: unknown };
    if (typeof pid !== "string" || typeof offset !== "string") return;
    const identity = this.#deps.authenticatedOf(socket)?.identity;
    if (identity === undefined) return;
    const why = "the session is unknown, or the time in which it could be recovered is over";
    this.#deps.onRecovery?.({ id: socket.id, identity }, Number(offset), why);
  }

  /** While Redis is away the transport is closed without an answer: the client retries and can still recover. */
  #failed(socket: Socket, error: unknown): void {
    const { code } = refusalOf(error);
    if (code !== "internal" && isTemporary(code)) return engineSocketOf(socket).close();
    this.#deps.failures.report("socket.return", error);
    startNewSession(socket);
  }

  /** Returns the resumed connection of a socket, once. */
  complete(socket: Socket): ResumedConnection | undefined {
    const resumed = this.#resumed.get(socket.id);
    if (resumed?.socket !== socket) return undefined;
    this.#resumed.delete(socket.id);
    return resumed;
  }

  /** Socket.IO would treat an error as an unknown session, so the error is stored for `resume`. */
  async #find(privateId: string, offset: string): Promise<object | null> {
    const attempt = await this.#deps.recovery
      .find(privateId, offset)
      .catch((error: unknown) => new FailedLookup(error));
    if (attempt === undefined) return null;
    const data = {};
    this.#attempts.set(data, attempt);
    const sid = attempt instanceof FailedLookup ? randomId() : attempt.record.holder.socketId;
    return { sid, pid: privateId, rooms: [], data, missedPackets: [] };
  }

  async #resume(socket: Socket): Promise<boolean> {
    const attempt = this.#attempts.get(socket.data as object);
    if (attempt instanceof FailedLookup) throw attempt.error;
    const authenticated = this.#deps.authenticatedOf(socket);
    if (attempt === undefined || authenticated === undefined) return false;
    const connection = this.#deps.connect(socket, authenticated);
    const conn = engineSocketOf(socket);
    const restored = await this.#deps.recovery.restore(connection, attempt, () => conn.readyState !== "open");
    this.#deps.onRecovery?.(connection, attempt.timestamp, restored);
    if (typeof restored === "string") return false;
    this.#closePrevious(socket);
    this.#resumed.set(socket.id, { socket, connection, restored });
    // Disconnected again before `complete`: nothing else would clean up.
    if (conn.readyState !== "open") this.#abandon(socket);
    else {
      conn.once("close", () => this.#abandon(socket));
      restoreRooms(socket, restored.positions.keys(), this.#deps.recovery.socketStateOf(connection));
    }
    return true;
  }

  #abandon(socket: Socket): void {
    const resumed = this.complete(socket);
    if (resumed === undefined) return;
    this.#deps.recovery.abandon(resumed.connection);
    freeId(socket);
  }

  /** One that this node has of the same client: otherwise it would take the rooms of its id with it later. */
  #closePrevious({ nsp, id }: Socket): void {
    for (const previous of [nsp.sockets.get(id), this.#resumed.get(id)?.socket])
      if (previous !== undefined) engineSocketOf(previous).close(true);
  }
}

const withoutRecovery = { persistSession: () => undefined, restoreSession: () => Promise.resolve(null) };

/** For the app: in its middleware already, as by Socket.IO itself. */
function restoreRooms(socket: Socket, channels: Iterable<string>, recorded: string): void {
  void socket.join([...channels]);
  if (recorded === "") return;
  const state = stateOf(recorded);
  if (state === undefined) return reportUnrestored(socket);
  void socket.join(state.rooms as string[]);
  socket.data = state.data;
}

/** Looking up the session failed. */
class FailedLookup {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}
