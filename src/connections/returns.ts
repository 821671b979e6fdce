import { randomBytes } from "node:crypto";
import { Adapter } from "socket.io-adapter";
import type { Namespace, ServerOptions, Socket } from "socket.io";
import type { Restored } from "../channels/answers.ts";
import { isTemporary } from "../protocol/errors.ts";
import type { Recovery, Returning } from "./recovery.ts";
import { refusalOf } from "../commands/refusal.ts";
import type { Failures } from "./failures.ts";
import type { Entrant } from "./handshake.ts";
import type { SocketConnection } from "./socket-connection.ts";

/** A connection that was taken up again before its client is told so. */
export interface Return {
  connection: SocketConnection;
  restored: Restored;
}

export interface ReturnsDeps {
  recovery: Pick<Recovery, "find" | "restore" | "abandon" | "windowMs">;
  /** Who was let in on this socket. */
  entrantOf: (socket: Socket) => Entrant | undefined;
  connect: (socket: Socket, entrant: Entrant) => SocketConnection;
  failures: Failures;
}

/**
 * Socket.IO's own recovery, turned round. Socket.IO would restore a socket and send what it missed before anybody looks
 * at its token; here the adapter only says that something is known of it. Once it has been let in like everybody else,
 * its subscriptions are taken up; where that fails it is a new socket, under a new id, and nothing of the old is left.
 */
export class Returns {
  readonly #deps: ReturnsDeps;
  /** By the `data` of the socket that Socket.IO makes of it. */
  readonly #returning = new WeakMap<object, Returning | Failed>();
  readonly #returns = new WeakMap<Socket, Return>();

  constructor(deps: ReturnsDeps) {
    this.#deps = deps;
  }

  /** Answers Socket.IO's question for a session; otherwise the adapter given, or one of this node alone. */
  adapter(make: ServerOptions["adapter"] | undefined): ServerOptions["adapter"] {
    const restoreSession = (privateId: string, offset: string): Promise<object | null> => this.#find(privateId, offset);
    const Room = (make ?? Adapter) as new (namespace: Namespace) => Adapter;
    // Called with `new`, so it cannot be an arrow function.
    return function (namespace: Namespace) {
      return Object.assign(new Room(namespace), { persistSession: () => undefined, restoreSession });
    };
  }

  /** Middleware behind the handshake's. */
  enter(socket: Socket, next: (error?: Error) => void): void {
    if (!socket.recovered) return next();
    this.#takeUp(socket)
      .then((isBack) => isBack || beginAnew(socket))
      .catch((error: unknown) => this.#failed(socket, error))
      .finally(() => next());
  }

  /** While the store is away a client keeps its right to come back: cut off without an answer, it tries again. */
  #failed(socket: Socket, error: unknown): void {
    if (isTemporary(refusalOf(error).code)) return socket.conn.close();
    this.#deps.failures.report("socket.return", error);
    beginAnew(socket);
  }

  /** What was taken up for the socket; once. */
  complete(socket: Socket): Return | undefined {
    const back = this.#returns.get(socket);
    this.#returns.delete(socket);
    return back;
  }

  /** Socket.IO would take an error for "unknown": it is kept for `enter`. */
  async #find(privateId: string, offset: string): Promise<object | null> {
    const returning = await this.#deps.recovery.find(privateId, offset).catch((error: unknown) => new Failed(error));
    if (returning === undefined) return null;
    const data = {};
    this.#returning.set(data, returning);
    const sid = returning instanceof Failed ? newId() : returning.record.holder.socketId;
    return { sid, pid: privateId, rooms: [], data, missedPackets: [] };
  }

  async #takeUp(socket: Socket): Promise<boolean> {
    const returning = this.#returning.get(socket.data as object);
    if (returning instanceof Failed) throw returning.error;
    const entrant = this.#deps.entrantOf(socket);
    if (returning === undefined || entrant === undefined) return false;
    const connection = this.#deps.connect(socket, entrant);
    const restored = await this.#deps.recovery.restore(connection, returning);
    if (restored === undefined) return false;
    this.#returns.set(socket, { connection, restored });
    // Gone again before it was welcomed: nobody else would know of it.
    if (socket.conn.readyState !== "open") this.#abandon(socket);
    else socket.conn.once("close", () => this.#abandon(socket));
    return true;
  }

  #abandon(socket: Socket): void {
    const back = this.complete(socket);
    if (back !== undefined) this.#deps.recovery.abandon(back.connection);
  }
}

/** The store could not say whether anything is known of a client. */
class Failed {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

const newId = (): string => randomBytes(15).toString("base64url");

/** What only this client and this node know of a socket: its id for coming back. */
export function privateIdOf(socket: Socket): string | undefined {
  return (socket as unknown as { pid?: string }).pid;
}

/** Makes a socket that Socket.IO took for a returning one a new one, before its client is told anything. */
function beginAnew(socket: Socket): void {
  const { _preConnectSockets: waiting } = socket.nsp as unknown as { _preConnectSockets: Map<string, Socket> };
  waiting.delete(socket.id);
  const id = newId();
  Object.assign(socket, { id, pid: newId(), recovered: false, data: {} });
  waiting.set(id, socket);
}
