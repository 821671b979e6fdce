import type { Namespace, Server, Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import { tokenIn, type PendingHandshakes } from "./handshake.ts";
import type { ConnectionLifecycle } from "./lifecycle.ts";
import { SocketConnection } from "./socket-connection.ts";
import { engineSocketOf, forgetIfRefused, hideCredentials, useFirst } from "./socket-io.ts";
import { nameUser, renameUser } from "./socket-user.ts";

export interface NamespacesDeps {
  handshakes: PendingHandshakes;
  lifecycle: ConnectionLifecycle;
  /** Throws unless the token belongs to the user and session of the connection. */
  checkToken: (identity: Identity, token: unknown) => Promise<unknown>;
  failures: ErrorReporter;
  clock: Pick<Clock, "after">;
}

/** A namespace that has refused its client counts for so long among those that it has entered, which bounds its attempts. */
const forgetRefusedMs = 1_000;

/**
 * Other namespaces than the main one, for apps. A client has one connection: the first namespace that it enters
 * authenticates it, further ones are entered as the same user. Events of all of them share the connection's limits.
 */
export class Namespaces {
  readonly #deps: NamespacesDeps;

  constructor(deps: NamespacesDeps) {
    this.#deps = deps;
  }

  /** Prepares each namespace that an app creates, before the app's own middleware and listeners. */
  serve(io: Server, names: readonly string[]): void {
    io.on("new_namespace", (namespace) => this.#prepare(namespace));
    for (const name of names) io.of(name);
  }

  #prepare(namespace: Namespace): void {
    useFirst(namespace, (socket, next) => {
      forgetIfRefused(socket, (forget) => {
        this.#deps.clock.after(forgetRefusedMs, forget);
        this.#deps.handshakes.refusedByApp(socket);
      });
      this.#enter(socket, next).catch((error: unknown) => this.#deps.failures.report("socket.namespace", error));
    });
    namespace.prependListener("connection", (socket: Socket) => this.#start(socket));
  }

  async #enter(socket: Socket, next: (error?: Error) => void): Promise<void> {
    const { handshakes } = this.#deps;
    try {
      const connection = ownerOf(socket) ?? (await this.#connectionBeingMade(socket));
      if (connection === undefined)
        return handshakes.authenticate(socket, (error) => this.#nameUser(socket, next, error));
      await this.#check(socket, connection);
    } catch (error) {
      return next(handshakes.refuse(socket, error));
    }
    this.#nameUser(socket, next);
  }

  /** Undefined if no other namespace of the client is being entered. */
  async #connectionBeingMade(socket: Socket): Promise<SocketConnection | undefined> {
    const attempt = this.#deps.handshakes.attemptOf(socket);
    if (attempt === undefined) return undefined;
    await attempt;
    return ownerOf(socket);
  }

  /** The connection is authenticated; a token that its client sends for this namespace must be of the same session. */
  async #check({ handshake }: Socket, { identity }: SocketConnection): Promise<void> {
    const token = tokenIn(handshake.auth);
    if (token !== undefined) await this.#deps.checkToken(identity, token);
  }

  #nameUser(socket: Socket, next: (error?: Error) => void, error?: Error): void {
    const identity = ownerOf(socket)?.identity ?? this.#deps.handshakes.authenticatedOf(socket)?.identity;
    if (error === undefined && identity !== undefined) nameUser(socket, identity);
    next(error);
  }

  #start(socket: Socket): void {
    const { handshakes, lifecycle } = this.#deps;
    const authenticated = handshakes.complete(socket);
    hideCredentials(socket);
    const connection = ownerOf(socket);
    if (authenticated !== undefined) {
      engineSocketOf(socket).admit();
      lifecycle.start(socket, lifecycle.connect(socket, authenticated));
    } else if (connection === undefined || !lifecycle.enter(socket, connection)) socket.disconnect(true);
    // Its rights may have changed while middleware of the app ran.
    else renameUser(socket, connection.identity);
  }
}

function ownerOf(socket: Socket): SocketConnection | undefined {
  const { owner } = engineSocketOf(socket);
  return owner instanceof SocketConnection && owner.isOpen ? owner : undefined;
}
