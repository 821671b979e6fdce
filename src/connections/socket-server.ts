import type { Server as HttpServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { boundsOf, type Bounds, type SocketServerOptions } from "./socket-options.ts";
import { Server, type ServerOptions, type Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import { defaultGateLimits, type GateLimits } from "../protocol/gate.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import type { ClientHandler } from "./client-handler.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionRegistry, Connections } from "./connections.ts";
import { Dispatch, type AppEvents, type DispatchDeps, type Throttle } from "./dispatch.ts";
import type { SendEach } from "../engine/accelerator.ts";
import type { StickyRouting } from "../engine/sticky-routing/sticky-routing.ts";
import { Engine, type EngineOptions } from "../engine/engine.ts";
import type { EngineSocket } from "../engine/engine-socket.ts";
import { ErrorReporter } from "./error-reporter.ts";
import { Admission, type Admit } from "./admission.ts";
import { PendingHandshakes, type Authenticate } from "./handshake.ts";
import { createParser } from "../engine/parser.ts";
import { RecoveryAdapter, type RecoveryAdapterDeps } from "./recovery-adapter.ts";
import { recordRefusal, type RefusalDeps } from "../commands/refusal.ts";
import { ConnectionLifecycle, type LifecycleHooks } from "./lifecycle.ts";
import { isTemporary, type GatewayError } from "../protocol/errors.ts";
import { Namespaces, type NamespacesDeps } from "./namespaces.ts";
import { RefusedEvents } from "./refused-events.ts";
import { beforeRefusal, bindEngine, engineSocketOf, forgetRequest, hideCredentials } from "./socket-io.ts";
import { nameUser } from "./socket-user.ts";

export interface SocketServerDeps extends LifecycleHooks {
  httpServer: HttpServer;
  handlers: readonly ClientHandler[];
  /** Handles other events. With an app, clients may use all of Socket.IO. */
  app?: AppEvents | undefined;
  /** Other namespaces than the main one: names, in addition to those that an app creates. Omit without an app. */
  namespaces?: ({ names: readonly string[] } & Pick<NamespacesDeps, "checkToken">) | undefined;
  /** Checks events for the app, and its answers. Omit if there is no contract. */
  checks?: DispatchDeps["checks"];
  /** Prepares each socket before the app gets it. */
  appRooms?: { prepare(socket: Socket, connection: Connection): void } | undefined;
  asksApp?: DispatchDeps["asksApp"];
  /** Filled with the open connections. */
  registry: ConnectionRegistry;
  authenticate: Authenticate;
  /** Called before a connection begins, with its address. Omit to admit everybody. */
  admit?: Admit | undefined;
  /** Called if an authenticated client disconnected before its connection was established. */
  abandoned?: ((identity: Identity) => void) | undefined;
  /** Counts messages. Omit for no limit. */
  throttle?: Throttle | undefined;
  /** Awaited before answers are sent. Omit to send all at once. */
  untilAnswersAllowed?: DispatchDeps["untilAnswersAllowed"];
  clientAddress: ClientAddress;
  /** Omit for rooms of this node only. */
  adapter?: ServerOptions["adapter"] | undefined;
  /** Nodes that share the port. Omit if this node does not share it. */
  stickyRouting?: StickyRouting | undefined;
  /** Omit to disable Socket.IO's connection state recovery. */
  recovery?: RecoveryAdapterDeps["recovery"] | undefined;
  onRecovery?: RecoveryAdapterDeps["onRecovery"];
  /** Called with each event of a client. */
  observe?: DispatchDeps["observe"];
  /** Omit for fan-out in TypeScript only. */
  accelerator?: SendEach | undefined;
  metrics: Metrics;
  /** Omit to count refusals and closings only. */
  reasons?: RefusalDeps["reasons"];
  clock: Clock;
  log: Logger;
}

export interface SocketServer {
  readonly io: Server;
  readonly connections: Connections;
  /** Bounds unauthenticated connections, streams included. */
  readonly admission: Admission;
  /** Attaches to `/socket.io/` of the HTTP server, which must already have its listener for other paths. */
  start(): void;
  /** Resolves when no handler is in flight. */
  idle(): Promise<void>;
  /** Disconnects everybody and waits for the disconnect hooks, or `deadline`. Does not close the HTTP server. */
  close(deadline?: AbortSignal): Promise<void>;
}

/** Accepts Socket.IO clients; everything behind it is authenticated, validated and bounded. */
export function createSocketServer(deps: SocketServerDeps, options: SocketServerOptions): SocketServer {
  const bounds = boundsOf(options);
  const failures = new ErrorReporter(deps);
  const dispatch = new Dispatch({ ...deps, failures, refusedEvents: new RefusedEvents(deps) }, options);
  const admission = new Admission(deps, bounds);
  const handshakes = new PendingHandshakes({ ...deps, admission, failures });
  const lifecycle = new ConnectionLifecycle({ ...deps, dispatch, failures }, options.nodeId);
  const engine = createEngine(deps, { allowedOrigins: options.allowedOrigins, ...bounds }, { failures, admission });
  countSentBytes(deps.metrics, engine);
  engine.on("connection", (socket: EngineSocket) => handshakes.open(socket));

  const recoveryAdapter = createRecoveryAdapter(deps, { handshakes, lifecycle, failures });

  const io = new Server(serverOptions(deps, bounds, recoveryAdapter));
  bindEngine(io, engine);
  io.use((socket, next) => handshakes.authenticate(socket, next));
  if (recoveryAdapter !== undefined) io.use((socket, next) => recoveryAdapter.resume(socket, next));
  if (deps.app !== undefined) io.use(prepareForApp(handshakes));
  if (deps.namespaces !== undefined)
    new Namespaces({ ...deps.namespaces, handshakes, lifecycle, failures, clock: deps.clock }).serve(
      io,
      deps.namespaces.names,
    );
  io.on("connection", (socket) => {
    const authenticated = handshakes.complete(socket);
    const resumed = recoveryAdapter?.complete(socket);
    if (deps.app === undefined) forgetRequest(socket);
    else hideCredentials(socket);
    engineSocketOf(socket).admit();
    if (authenticated === undefined) return void socket.disconnect(true);
    const connection = resumed?.connection ?? lifecycle.connect(socket, authenticated);
    deps.appRooms?.prepare(socket, connection);
    lifecycle.start(socket, connection, resumed?.restored);
  });

  let detach: (() => void) | undefined;

  return {
    io,
    connections: deps.registry,
    admission,
    start: () => void (detach = engine.attach(deps.httpServer)),
    idle: () => dispatch.idle(),
    async close(deadline) {
      // Not the app's own, which closes the gateway.
      await Server.prototype.close.call(io);
      detach?.();
      await Promise.race([lifecycle.idle(), aborted(deadline)]);
    },
  };
}

/** For an app: `socket.data.user`, also in its middleware, which may refuse the socket. */
function prepareForApp(handshakes: PendingHandshakes) {
  const release = beforeRefusal((socket) => handshakes.refusedByApp(socket));
  return (socket: Socket, next: () => void): void => {
    const authenticated = handshakes.authenticatedOf(socket);
    if (authenticated !== undefined) nameUser(socket, authenticated.identity);
    release(socket);
    next();
  };
}

/** Never resolves without a deadline. */
function aborted(deadline: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (deadline?.aborted === true) resolve();
    deadline?.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Read by a scrape, because every write to every connection adds to it. */
function countSentBytes({ sentBytes }: Pick<Metrics, "sentBytes">, engine: Engine): void {
  const collect = (): void => {
    sentBytes.reset();
    sentBytes.inc(engine.sentBytes);
  };
  Object.assign(sentBytes, { collect });
}

interface EngineParts {
  failures: ErrorReporter;
  admission: Admission;
}

function createEngine(
  { metrics, ...deps }: SocketServerDeps,
  options: EngineOptions,
  { failures, admission }: EngineParts,
): Engine {
  return new Engine(
    {
      ...deps,
      admit: (request, carrier) => admission.admit(request, carrier),
      report: (place, error) => failures.report(place, error),
      onRefused(refusal: GatewayError, request: IncomingMessage) {
        const { reasons, clientAddress } = deps;
        recordRefusal({ metrics, reasons }, refusal, { kind: "handshake", address: clientAddress(request) });
        if (isTemporary(refusal.code)) metrics.handshakes.inc({ outcome: refusal.code });
      },
      onSkipped({ conflated, volatile }) {
        metrics.skipped.inc({ reason: "conflated" }, conflated);
        metrics.skipped.inc({ reason: "volatile" }, volatile);
      },
    },
    options,
  );
}

function createRecoveryAdapter(
  { recovery, onRecovery }: SocketServerDeps,
  {
    handshakes,
    lifecycle,
    failures,
  }: { handshakes: PendingHandshakes; lifecycle: ConnectionLifecycle; failures: ErrorReporter },
): RecoveryAdapter | undefined {
  if (recovery === undefined) return undefined;
  const authenticatedOf = handshakes.authenticatedOf.bind(handshakes);
  return new RecoveryAdapter({
    recovery,
    onRecovery,
    authenticatedOf,
    connect: lifecycle.connect.bind(lifecycle),
    failures,
  });
}

function serverOptions(
  { adapter, recovery, app, clock, log }: SocketServerDeps,
  bounds: Bounds,
  recoveryAdapter: RecoveryAdapter | undefined,
) {
  const warn = createPacedWarnings(log, { everyMs: 60_000, now: () => clock.monotonic() });
  const onOtherParser = (): void =>
    warn({}, "a client uses another parser than Socket.IO's own, which is not supported");
  const common = {
    parser: createParser(gateLimits(bounds), { acceptsAll: app !== undefined, onOtherParser }),
    connectTimeout: bounds.connectTimeoutMs,
    serveClient: false,
  };
  if (recoveryAdapter === undefined || recovery === undefined)
    return { ...common, ...(adapter !== undefined && { adapter }) };
  // Authentication runs again on every return.
  const connectionStateRecovery = { maxDisconnectionDuration: recovery.windowMs, skipMiddlewares: false };
  return { ...common, adapter: recoveryAdapter.adapter(adapter), connectionStateRecovery };
}

/** Scales the max number of keys with the payload: one key or element per 8 bytes. */
const gateLimits = ({ payloadBytes }: Bounds): GateLimits => ({
  ...defaultGateLimits,
  maxBytes: payloadBytes,
  maxKeys: Math.max(defaultGateLimits.maxKeys, payloadBytes / 8),
});
