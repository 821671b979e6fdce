import type { EventEmitter } from "node:events";
import { ServerResponse, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import type { Duplex } from "node:stream";

/** Middleware as Express has it, such as for sessions. `next` with an error refuses the request. */
export type EngineMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** Events by which listeners add headers: to the first answer of a connection, and to each. */
const headerEvents = ["initial_headers", "headers"] as const;

/**
 * What an app adds to the requests of Socket.IO clients, by the names that Socket.IO has for it: `io.engine.use(middleware)`, and
 * listeners of `initial_headers` and `headers`. Costs nothing while there is none.
 */
export class RequestExtensions {
  readonly #engine: EventEmitter;
  readonly #middleware: EngineMiddleware[] = [];

  constructor(engine: EventEmitter) {
    this.#engine = engine;
  }

  add(middleware: EngineMiddleware): void {
    if (typeof middleware !== "function") throw new TypeError("io.engine.use: middleware must be a function");
    this.#middleware.push(middleware);
  }

  /** Receives the headers for the answer to an upgrade; undefined if nothing adds any. */
  responseTo(request: IncomingMessage, socket: Duplex): ServerResponse | undefined {
    const isUsed = this.#middleware.length > 0 || headerEvents.some((name) => this.#engine.listenerCount(name) > 0);
    return isUsed ? new UpgradeResponse(request, socket) : undefined;
  }

  /** Runs the middleware in its order, then adds the listeners' headers. Calls `done` at once if nothing has to be awaited. */
  apply(request: IncomingMessage, response: ServerResponse, isFirst: boolean, done: (error?: unknown) => void): void {
    const run = (index: number): void => {
      const middleware = this.#middleware[index];
      if (middleware === undefined) {
        this.#addHeaders(request, response, isFirst);
        return done();
      }
      middleware(request, response, (error) => (error === undefined || error === null ? run(index + 1) : done(error)));
    };
    run(0);
  }

  #addHeaders(request: IncomingMessage, response: ServerResponse, isFirst: boolean): void {
    for (const name of isFirst ? headerEvents : (["headers"] as const)) {
      if (this.#engine.listenerCount(name) === 0) continue;
      const headers: OutgoingHttpHeaders = {};
      this.#engine.emit(name, headers, request);
      for (const [field, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(field, value);
    }
  }
}

/** Middleware that answers an upgrade itself ends its connection, as in Socket.IO. */
class UpgradeResponse extends ServerResponse {
  readonly #line: Duplex;

  constructor(request: IncomingMessage, socket: Duplex) {
    super(request);
    this.#line = socket;
  }

  override end(): this {
    this.#line.destroy();
    return this;
  }
}
