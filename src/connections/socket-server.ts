import type { Server as HttpServer } from "node:http";
import type { Socket as EngineSocket } from "engine.io";
import { Server, type ServerOptions, type Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import { defaultGateLimits, type GateLimits } from "../protocol/gate.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import type { ClientHandler } from "./client-handler.ts";
import type { Connections } from "./connections.ts";
import { Dispatch, type DispatchDeps, type Throttle } from "./dispatch.ts";
import type { SendEach } from "../engine/accelerator.ts";
import type { Siblings } from "../engine/siblings/siblings.ts";
import { allowFullFrames, BoundedEngine, pendingFrameBytes } from "../engine/engine.ts";
import { Failures } from "./failures.ts";
import { Admission, type Admit } from "./admission.ts";
import { Handshakes, type Authenticate } from "./handshake.ts";
import type { AllowedOrigins } from "../engine/origins.ts";
import { createParser } from "../engine/parser.ts";
import { Returns, type ReturnsDeps } from "./returns.ts";
import { createRequestCheck } from "../engine/request-check.ts";
import { Attendance, type AttendanceHooks } from "./attendance.ts";
import { createWsEngine } from "../engine/ws-engine.ts";

export interface SocketServerDeps extends AttendanceHooks {
  httpServer: HttpServer;
  handlers: readonly ClientHandler[];
  authenticate: Authenticate;
  /** Asked before a connection begins, by address. Absent: everybody may try. */
  admit?: Admit | undefined;
  /** Called for everybody who was authenticated and has gone before the connection was made. */
  abandoned?: ((identity: Identity) => void) | undefined;
  /** Counts messages. Absent: no limit. */
  throttle?: Throttle | undefined;
  /** What an answer waits for. Absent: none waits. */
  mayAnswer?: DispatchDeps["mayAnswer"];
  clientAddress: ClientAddress;
  /** Absent: rooms of this node only. */
  adapter?: ServerOptions["adapter"] | undefined;
  /** Nodes behind the same port. Absent: this one has it for itself. */
  siblings?: Siblings | undefined;
  /** Absent: Socket.IO's own recovery is off. */
  recovery?: ReturnsDeps["recovery"] | undefined;
  /** Absent: fan-out is TypeScript alone. */
  accelerator?: SendEach | undefined;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
}

export interface SocketServerOptions {
  nodeId: string;
  allowedOrigins: AllowedOrigins;
  /** Bytes of the JSON of one event. @default 65536 */
  payloadBytes?: number | undefined;
  /** Bytes that may wait for one client; one that reads more slowly is closed. @default 1048576 */
  outboundQueueBytes?: number | undefined;
  /** Connections that have not authenticated; what comes on top is refused. @default 5000 */
  maxPending?: number | undefined;
  /** The same for one address (IPv6: one /64). @default as many as in all */
  maxPendingPerAddress?: number | undefined;
  /** Messages of one connection that wait for their answer. @default 256 */
  maxUnanswered?: number | undefined;
  /** Milliseconds until a connection must have authenticated. @default 5000 */
  connectTimeoutMs?: number | undefined;
  /** Milliseconds a client may take to answer a close. @default 3000 */
  closeTimeoutMs?: number | undefined;
  /** @default 25000 */
  pingIntervalMs?: number | undefined;
  /** @default 20000 */
  pingTimeoutMs?: number | undefined;
}

export interface SocketServer {
  readonly io: Server;
  readonly connections: Connections;
  /** Takes over `/socket.io/` of the HTTP server, which already has the listener for all other paths. */
  start(): void;
  /** Resolves when no handler is at work. */
  idle(): Promise<void>;
  /** Disconnects everybody and waits until each goodbye is done, or `deadline`. The HTTP server is left alone. */
  close(deadline?: AbortSignal): Promise<void>;
}

/** The edge towards Socket.IO clients; what passes it is checked, known by name and bounded. */
export function createSocketServer(deps: SocketServerDeps, options: SocketServerOptions): SocketServer {
  const bounds = boundsOf(options);
  const failures = new Failures(deps);
  const dispatch = new Dispatch({ ...deps, failures }, options);
  const admission = new Admission(deps, bounds);
  const handshakes = new Handshakes({ ...deps, admission, failures });
  const attendance = new Attendance({ ...deps, dispatch, failures }, { ...bounds, nodeId: options.nodeId });
  const engine = createEngine(deps, options, { bounds, failures, admission, handshakes });

  const returns = createReturns(deps, { handshakes, attendance, failures });

  const io = new Server(serverOptions(deps, bounds, returns));
  io.bind(engine);
  io.use((socket, next) => handshakes.enter(socket, next));
  if (returns !== undefined) io.use((socket, next) => returns.enter(socket, next));
  io.on("connection", (socket) => {
    const entrant = handshakes.complete(socket);
    const back = returns?.complete(socket);
    forgetRequest(socket);
    allowFullFrames(socket.conn);
    if (entrant === undefined) socket.disconnect(true);
    else attendance.begin(socket, back?.connection ?? attendance.connect(socket, entrant), back?.restored);
  });

  return {
    io,
    connections: attendance.connections,
    start: () => engine.attach(deps.httpServer, { path: "/socket.io/", destroyUpgradeTimeout: 1_000 }),
    idle: () => dispatch.idle(),
    async close(deadline) {
      await io.close();
      await Promise.race([attendance.idle(), aborted(deadline)]);
    },
  };
}

/** Never resolves without a deadline. */
function aborted(deadline: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (deadline?.aborted === true) resolve();
    deadline?.addEventListener("abort", () => resolve(), { once: true });
  });
}

interface Parts {
  bounds: Bounds;
  failures: Failures;
  admission: Admission;
  handshakes: Handshakes;
}

function createEngine(deps: SocketServerDeps, options: SocketServerOptions, parts: Parts): BoundedEngine {
  const { metrics, clock, log, siblings } = deps;
  const { bounds, failures, admission, handshakes } = parts;
  const { closeTimeoutMs } = bounds;
  const engine = new BoundedEngine(engineOptions(bounds), { failures, siblings, clock, closeTimeoutMs });
  const check = { allowedOrigins: options.allowedOrigins, maxBodyBytes: bounds.frameBytes };
  engine.use(createRequestCheck({ admission, metrics, failures, log }, check));
  engine.on("connection", (stranger: EngineSocket) => handshakes.begin(stranger));
  // Counted only: the request's address may hold a token.
  engine.on("connection_error", () => metrics.refusals.inc({ code: "bad_request", limiter: "" }));
  return engine;
}

type Bounds = ReturnType<typeof boundsOf>;

function boundsOf(options: SocketServerOptions) {
  const { payloadBytes = defaultGateLimits.maxBytes, maxPending = 5_000 } = options;
  return {
    payloadBytes,
    /** What is a little too large is answered by name; what is far too large ends the connection. */
    frameBytes: 2 * payloadBytes,
    maxPending,
    maxPendingPerAddress: options.maxPendingPerAddress ?? maxPending,
    connectTimeoutMs: options.connectTimeoutMs ?? 5_000,
    closeTimeoutMs: options.closeTimeoutMs ?? 3_000,
    queueBytes: options.outboundQueueBytes ?? 1_048_576,
    pingInterval: options.pingIntervalMs ?? 25_000,
    pingTimeout: options.pingTimeoutMs ?? 20_000,
  };
}

function engineOptions({ frameBytes, connectTimeoutMs, closeTimeoutMs, pingInterval, pingTimeout }: Bounds) {
  return {
    transports: ["polling" as const, "websocket" as const],
    maxHttpBufferSize: frameBytes,
    upgradeTimeout: connectTimeoutMs,
    pingInterval,
    pingTimeout,
    wsEngine: createWsEngine({ maxPayload: pendingFrameBytes, closeTimeoutMs }),
    perMessageDeflate: false,
    httpCompression: false,
    allowEIO3: false,
    cookie: false,
  };
}

function createReturns(
  { recovery }: SocketServerDeps,
  { handshakes, attendance, failures }: { handshakes: Handshakes; attendance: Attendance; failures: Failures },
): Returns | undefined {
  if (recovery === undefined) return undefined;
  const entrantOf = handshakes.entrantOf.bind(handshakes);
  return new Returns({ recovery, entrantOf, connect: attendance.connect.bind(attendance), failures });
}

function serverOptions({ adapter, recovery }: SocketServerDeps, bounds: Bounds, returns: Returns | undefined) {
  const common = {
    parser: createParser(gateLimits(bounds)),
    connectTimeout: bounds.connectTimeoutMs,
    serveClient: false,
  };
  if (returns === undefined || recovery === undefined) return { ...common, ...(adapter !== undefined && { adapter }) };
  // Authentication runs again on every return.
  const connectionStateRecovery = { maxDisconnectionDuration: recovery.windowMs, skipMiddlewares: false };
  return { ...common, adapter: returns.adapter(adapter), connectionStateRecovery };
}

/** Where large payloads are allowed, one key or element each 8 bytes. */
const gateLimits = ({ payloadBytes }: Bounds): GateLimits => ({
  ...defaultGateLimits,
  maxBytes: payloadBytes,
  maxKeys: Math.max(defaultGateLimits.maxKeys, payloadBytes / 8),
});

/**
 * The token has been looked at: neither memory nor what other nodes may ask of a socket is to hold it any longer. Nor does
 * a connection need a table of its own for acknowledgements that clients do not give (`parser.ts`).
 */
function forgetRequest(socket: Socket): void {
  Object.assign(socket.handshake, { auth: nothing, headers: nothing, query: nothing, url: "", time: "" });
  Object.assign(socket.conn, { request: null });
  Object.assign(socket, { acks: noAcks });
}

/** Stays empty: nobody is waited for. */
class NoAcks extends Map {
  override set(): this {
    return this;
  }
}

const noAcks = new NoAcks();

const nothing = Object.freeze({});
