import { EventEmitter } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import type { GatewayError } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { randomId } from "../runtime/random-id.ts";
import type { SendEach } from "./accelerator.ts";
import { ClientFiles } from "./client-files.ts";
import { createDirectWrite } from "./direct-write.ts";
import { EndOfTickFlusher } from "./end-of-tick.ts";
import { EngineSocket, type EngineContext, type EngineRequest } from "./engine-socket.ts";
import { Frame } from "./frames.ts";
import { answerPreflight, HttpCheck, queryOf } from "./request-check.ts";
import { AcceleratedWrite, eachByItself } from "./multi-socket-write.ts";
import type { AllowedOrigins } from "./origins.ts";
import { packetType } from "./packets.ts";
import { PollingTransport } from "./polling-transport.ts";
import { RequestExtensions, type EngineMiddleware } from "./request-extensions.ts";
import { ProtocolRefusal, refuseRequest, refuseUpgrade } from "./refusals.ts";
import type { Skipped } from "./send-queue.ts";
import type { StickyRouting } from "./sticky-routing/sticky-routing.ts";
import { takePaths } from "../runtime/server-paths.ts";
import { TimerWheel } from "../runtime/timer-wheel.ts";
import type { TransportOwner } from "./transport.ts";
import { UpgradeAttempt } from "./upgrade.ts";
import { handshakeAnswer, wrongHandshake } from "./websocket-handshake.ts";
import { WebSocketTransport, type WebSocketContext } from "./websocket-transport.ts";

/** What carries the first request of a connection: its answer, or the socket of an upgrade. */
export type RequestCarrier = ServerResponse | Duplex;

type Refusal = GatewayError | undefined;

export interface EngineDeps {
  /** Asked before a connection begins. Omit to let every client try. */
  admit?: ((request: IncomingMessage, carrier: RequestCarrier) => Promise<Refusal> | Refusal) | undefined;
  /** A request was refused. */
  onRefused: (refusal: GatewayError, request: IncomingMessage) => void;
  /** Counts frames that a slow reader was not sent. */
  onSkipped: (skipped: Skipped) => void;
  /** Reports an exception; `place` comes from a closed set. */
  report: (place: string, error: unknown) => void;
  /** Workers that share the port. Omit if there is one. */
  stickyRouting?: StickyRouting | undefined;
  /** Omit to write to each socket by itself. */
  accelerator?: SendEach | undefined;
  clock: Clock;
  log: Logger;
}

/** All times in milliseconds, all sizes in bytes. */
export interface EngineOptions {
  allowedOrigins: AllowedOrigins;
  /** Largest packet, or polling body, of a connection that has authenticated. */
  maxPayload: number;
  pingIntervalMs: number;
  pingTimeoutMs: number;
  /** What a client may take from its probe of a WebSocket to the upgrade. */
  upgradeTimeoutMs: number;
  /** What a client may take to answer a close. */
  closeTimeoutMs: number;
  /** Max bytes queued for one client. */
  queueBytes: number;
}

interface AdmissionOutcome {
  accept: () => void;
  refuse: (refusal: GatewayError) => void;
}

interface ExtendedRequest {
  request: EngineRequest;
  /** Undefined if an upgrade has nothing to run before it. */
  response: ServerResponse | undefined;
  refuse: AdmissionOutcome["refuse"];
}

/** The socket of an upgrade, what was read from it behind the request, and the headers to answer. */
interface UpgradeLine {
  socket: NetSocket;
  head: Buffer;
  response: ServerResponse | undefined;
}

/** Socket.IO's number for refusals that Engine.IO's protocol has none for. */
const forbidden = 4;

/** Time until an upgrade of another path that nobody accepted is closed. */
const strayUpgradeMs = 1_000;
/** The same if the application listens to upgrades. */
const otherUpgradeMs = 30_000;

const path = "/socket.io/";

/**
 * A server for Engine.IO protocol 4 over WebSocket and HTTP long-polling. Socket.IO's own `Server` uses it through
 * `io.bind(engine)`: it listens to `connection` and calls `close`.
 */
export class Engine extends EventEmitter {
  readonly #deps: EngineDeps;
  readonly #options: EngineOptions;
  readonly #check: HttpCheck;
  readonly #sockets = new Map<string, EngineSocket>();
  readonly #context: EngineContext;
  readonly #webSockets: WebSocketContext;
  readonly #clientFiles = new ClientFiles();
  readonly #extensions = new RequestExtensions(this);

  constructor(deps: EngineDeps, options: EngineOptions) {
    super();
    this.#deps = deps;
    this.#options = options;
    this.#check = new HttpCheck({ ...options, maxBodyBytes: options.maxPayload }, deps.log);
    const failed = (error: unknown): void => deps.report("socket.write", error);
    const multiSocketWrite =
      deps.accelerator === undefined ? eachByItself : new AcceleratedWrite(deps.accelerator, failed);
    this.#context = {
      ...options,
      clock: deps.clock,
      wheel: new TimerWheel(deps.clock, Math.max(options.pingIntervalMs, options.pingTimeoutMs)),
      endOfTick: new EndOfTickFlusher(failed, multiSocketWrite),
      multiSocketWrite,
      traffic: { sentBytes: 0 },
      onSkipped: deps.onSkipped,
      closed: ({ id }) => void this.#sockets.delete(id),
    };
    this.#webSockets = {
      ...options,
      clock: deps.clock,
      writeDirectly: createDirectWrite(),
      failed: (error) => deps.report("socket.message", error),
    };
  }

  /** Bytes of frames for all clients. */
  get sentBytes(): number {
    return this.#context.traffic.sentBytes;
  }

  /** Number of open connections, authenticated or not. */
  get clientsCount(): number {
    return this.#sockets.size;
  }

  /** Ids of connections are the gateway's: they must not be guessed, and lead to their worker. */
  set generateId(_generate: unknown) {
    throw new Error("io.engine.generateId: the gateway makes the ids of connections itself.");
  }

  /** Adds middleware that runs before each request of a Socket.IO client is handled, as `io.engine.use` does. */
  use(middleware: EngineMiddleware): this {
    this.#extensions.add(middleware);
    return this;
  }

  /** Handles `/socket.io/` of an HTTP server that already has the listeners for all other paths, until the result is called. */
  attach(server: Server): () => void {
    return takePaths(server, path, {
      request: (request, response) =>
        this.#guard("socket.request", response, () => this.handleRequest(request, response)),
      upgrade: (request, socket, head) =>
        this.#guard("socket.upgrade", socket, () => this.handleUpgrade(request, socket, head)),
      otherUpgrade: (socket, mayBeAccepted) => {
        const timeoutMs = mayBeAccepted ? otherUpgradeMs : strayUpgradeMs;
        this.#deps.clock.after(timeoutMs, () => endStray(socket as NetSocket));
      },
    });
  }

  /** Closes every connection at once. */
  close(): this {
    for (const socket of this.#sockets.values()) socket.close(true);
    return this;
  }

  // Requests

  handleRequest(request: IncomingMessage, response: ServerResponse): void {
    const handleHere = (): void =>
      this.#guard("socket.request", response, () => this.#handlePlain(prepared(request), response));
    if (this.#deps.stickyRouting?.relayRequest(request, response, handleHere) !== true) handleHere();
  }

  #handlePlain(request: EngineRequest, response: ServerResponse): void {
    const cors = this.#check.corsFields(request);
    if (this.#clientFiles.serve(request, response, cors)) return;
    const refuse = (refusal: GatewayError): void => {
      this.#refused(request, refusal);
      refuseRequest(request, response, refusal, cors);
    };
    const refusal = this.#check.refusalOf(request, false);
    if (refusal !== undefined) return refuse(refusal);
    for (const [name, value] of Object.entries(cors)) response.setHeader(name, value);
    const extended = (handle: () => void): void => this.#extend({ request, response, refuse }, handle);
    const accept = (): void => extended(() => this.#openPolling(request, response));
    if (request.method === "OPTIONS") answerPreflight(response);
    else if (request._query.sid) extended(() => this.#continue(request, response, refuse));
    else this.#admit(request, response, { refuse, accept });
  }

  #refused(request: IncomingMessage, refusal: GatewayError): void {
    this.#deps.onRefused(refusal, request);
    const { message } = refusal;
    const code = refusal instanceof ProtocolRefusal ? refusal.number : forbidden;
    this.emit("connection_error", { req: request, code, message, context: { code: refusal.code } });
  }

  /** Handles a request behind the app's middleware, whose error refuses it. */
  #extend({ request, response, refuse }: ExtendedRequest, handle: () => void): void {
    if (response === undefined) return handle();
    const place = "socket.middleware";
    const waited = ignoreErrors(request.socket);
    this.#guard(place, request.socket, () =>
      this.#extensions.apply(request, response, !request._query.sid, (error) => {
        waited();
        if (error !== undefined) refuse(new ProtocolRefusal("badRequest"));
        else if (!request.socket.destroyed) this.#guard(place, request.socket, handle);
      }),
    );
  }

  #continue(request: EngineRequest, response: ServerResponse, refuse: AdmissionOutcome["refuse"]): void {
    const socket = this.#sockets.get(request._query.sid as string);
    if (socket === undefined) refuse(new ProtocolRefusal("unknownSid"));
    else if (socket.transport instanceof PollingTransport) socket.transport.handle(request, response);
    else refuse(new ProtocolRefusal("badRequest"));
  }

  #openPolling(request: EngineRequest, response: ServerResponse): void {
    const id = this.#createId();
    const socket = new EngineSocket({ id, request }, (owner) => new PollingTransport(owner), this.#context);
    socket.writer.add(Frame.text(this.#openPacket(id, ["websocket"])));
    this.#opened(socket);
    if (socket.transport instanceof PollingTransport) socket.transport.handle(request, response);
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#deps.stickyRouting?.handOffUpgrade(request, socket, head) === true) return;
    const ours = prepared(request);
    const refuse = (refusal: GatewayError): void => {
      this.#refused(request, refusal);
      refuseUpgrade(socket, refusal);
    };
    const refusal = this.#check.refusalOf(ours, true) ?? wrongUpgrade(ours);
    if (refusal !== undefined) return refuse(refusal);
    const response = this.#extensions.responseTo(request, socket);
    const line: UpgradeLine = { socket: socket as NetSocket, head, response };
    const extended = (handle: () => void): void => this.#extend({ request: ours, response, refuse }, handle);
    if (ours._query.sid) extended(() => this.#upgrade(ours, line, refuse));
    else this.#admit(ours, socket, { refuse, accept: () => extended(() => this.#openWebSocket(ours, line)) });
  }

  #upgrade(request: EngineRequest, line: UpgradeLine, refuse: AdmissionOutcome["refuse"]): void {
    const socket = this.#sockets.get(request._query.sid as string);
    if (socket === undefined) return refuse(new ProtocolRefusal("unknownSid"));
    const polling = socket.transport;
    const isFree = polling instanceof PollingTransport && socket.upgrade === undefined;
    const timing = { clock: this.#deps.clock, timeoutMs: this.#options.upgradeTimeoutMs };
    const owner = isFree ? new UpgradeAttempt({ socket, polling }, timing) : nobody;
    const transport = new WebSocketTransport(line.socket, owner, this.#webSockets);
    transport.write(Buffer.from(handshakeAnswer(request, line.response?.getHeaders())));
    if (!(owner instanceof UpgradeAttempt)) return transport.close();
    owner.begin(transport);
    transport.read(line.head);
  }

  #openWebSocket(request: EngineRequest, { socket: netSocket, head, response }: UpgradeLine): void {
    const id = this.#createId();
    const create = (owner: TransportOwner) => new WebSocketTransport(netSocket, owner, this.#webSockets);
    const socket = new EngineSocket({ id, request }, create, this.#context);
    socket.writer.add(Frame.textAfter(handshakeAnswer(request, response?.getHeaders()), this.#openPacket(id, [])));
    this.#opened(socket);
    if (head.length > 0) (socket.transport as WebSocketTransport).read(head);
  }

  // Connections

  #admit(request: EngineRequest, carrier: RequestCarrier, { accept, refuse }: AdmissionOutcome): void {
    const settle = (refusal: Refusal): void => {
      if (refusal !== undefined) refuse(refusal);
      else if (!carrier.destroyed) accept();
    };
    const admitted = this.#deps.admit?.(request, carrier);
    if (!(admitted instanceof Promise)) return settle(admitted);
    const waited = ignoreErrors(carrier);
    admitted
      .then(waited)
      .then(settle)
      .catch((error: unknown) => {
        this.#deps.report("socket.admission", error);
        carrier.destroy();
      });
  }

  #opened(socket: EngineSocket): void {
    this.#sockets.set(socket.id, socket);
    this.emit("connection", socket);
  }

  #createId(): string {
    return `${this.#deps.stickyRouting?.sidPrefix ?? ""}${randomId()}`;
  }

  #openPacket(sid: string, upgrades: readonly string[]): string {
    const { pingIntervalMs: pingInterval, pingTimeoutMs: pingTimeout, maxPayload } = this.#options;
    return packetType.open + JSON.stringify({ sid, upgrades, pingInterval, pingTimeout, maxPayload });
  }

  #guard(place: string, carrier: RequestCarrier, handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#deps.report(place, error);
      carrier.destroy();
    }
  }
}

/** Plain assignments, here and elsewhere per connection: `Object.assign` takes several times as long. */
function prepared(request: IncomingMessage): EngineRequest {
  const ours = request as EngineRequest;
  ours._query = queryOf(request);
  return ours;
}

/**
 * Until something owns the socket of an upgrade, nothing listens to its errors, and a client that resets it would end the
 * process. The result is called when the wait is over.
 */
function ignoreErrors(carrier: RequestCarrier): <T>(value?: T) => T | undefined {
  carrier.on("error", ignore);
  return (value) => {
    // The error of a carrier that is destroyed may still be emitted.
    if (!carrier.destroyed) carrier.off("error", ignore);
    return value;
  };
}

const ignore = (): void => undefined;

function wrongUpgrade(request: IncomingMessage): GatewayError | undefined {
  const wrong = wrongHandshake(request);
  return wrong === undefined ? undefined : new ProtocolRefusal("badRequest", wrong);
}

function endStray(socket: NetSocket): void {
  if (socket.writable && socket.bytesWritten === 0) socket.on("error", () => undefined).end();
}

/** Owner of a WebSocket that belongs to no connection. */
const nobody = {
  maxPayload: 0,
  receive: () => undefined,
  control: () => false,
  flush: () => undefined,
  drained: () => undefined,
  ended: () => undefined,
};
