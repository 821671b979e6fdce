import { delayBefore } from "./backoff.ts";
import type { InternalClient } from "./base-client.ts";
import { isTemporary, TidegateError } from "./errors.ts";
import { type HandshakeError, toConnectError } from "./refusal.ts";
import { defaultPath } from "./socket.ts";
import { isJsonWebToken, tokenOf, type TokenProvider } from "./tokens.ts";

export type ConnectionPhase = "disconnected" | "connecting" | "connected" | "closed";

/** Why there is no connection, and when the next attempt follows. */
export interface ConnectionProblem {
  error: TidegateError;
  retryInMs?: number;
}

export interface ReconnectOptions {
  _provider: TokenProvider;
  _connectTimeoutMs: number;
  /** Max wait for the answer that shows, after a sleep, that the connection is alive. */
  _wakeTimeoutMs: number;
  _phaseChanged(phase: ConnectionPhase, problem?: ConnectionProblem): void;
  /** Called before anything is received on a new connection. */
  _connected(recovered: boolean): void;
}

export interface ReconnectingConnection {
  /** Skips the delay before the next attempt. */
  _connect(): void;
  /** After a sleep: skips the delay before the next attempt, and leaves a connection on which nothing is answered. */
  _wake(): void;
  _close(reason: TidegateError): void;
}

/** A connection that lasted this long resets the backoff. */
const stableAfterMs = 5_000;

/** After this many HTTP 404 responses, without any connection before, the configured path is considered wrong. */
const maxNotFound = 2;

/**
 * Keeps one Socket.IO connection to any node, reconnecting until it is closed. Socket.IO's own reconnection is
 * disabled, because it gives up after a refused handshake and does not support delays requested by the gateway.
 */
export function createConnection(
  client: InternalClient,
  { _provider, _connectTimeoutMs, _wakeTimeoutMs, _phaseChanged, _connected }: ReconnectOptions,
): ReconnectingConnection {
  const { socket } = client;
  const manager = socket.io;
  const canRefreshToken = typeof _provider !== "string";
  const preferredTransports = (manager.opts.transports ?? []).slice();
  /**
   * If a proxy answers an upgrade with an error, Socket.IO tries the other transport in the same attempt
   * (`tryAllTransports`). If a proxy swallows it, the attempt times out, and the next one starts with the other
   * transport, from which Socket.IO upgrades to WebSocket if it can.
   */
  let transports = preferredTransports;
  let phase: ConnectionPhase = "disconnected";
  let connections = 0;
  let failures = 0;
  let notFound = 0;
  let token = "";
  let hasRefetchedToken = false;
  let isLeavingNode = false;
  let isChecking = false;
  /** Timeout of the attempt, delay before the next attempt, or time until the connection counts as stable. */
  let timer: ReturnType<typeof setTimeout> | undefined;
  let drainTimer: ReturnType<typeof setTimeout> | undefined;

  const setPhase = (next: ConnectionPhase, problem?: ConnectionProblem): void => _phaseChanged((phase = next), problem);

  const after = (delayMs: number, run: () => void): ReturnType<typeof setTimeout> => {
    clearTimeout(timer);
    return (timer = setTimeout(run, delayMs));
  };

  const connect = (): void => {
    if (phase === "disconnected") void attempt();
  };

  const attempt = async (): Promise<void> => {
    setPhase("connecting");
    const mine = after(_connectTimeoutMs, () => failed(new TidegateError("timeout", "Connecting timed out.")));
    const isCurrent = (): boolean => phase === "connecting" && timer === mine;
    try {
      const next = await tokenOf(_provider);
      if (!isCurrent()) return;
      socket.auth = { token: (token = next) };
      // Before each attempt, because Socket.IO replaces the names by classes.
      manager.opts.transports = transports.slice();
      socket.connect();
      manager.engine.once("handshake", ({ maxPayload }) => (client._maxBytes = maxPayload));
    } catch (error) {
      if (isCurrent()) failed(error as TidegateError);
    }
  };

  /** Recovered packets arrive before `ready`, with some servers even before `connect`. */
  const started = (): void => {
    if (client._connection || !socket.connected) return;
    client._connection = connections += 1;
    _connected(socket.recovered);
  };

  const refused = (error: HandshakeError): void => {
    const { path } = manager.opts;
    notFound = error.description === 404 ? notFound + 1 : 0;
    if (path === defaultPath || connections > 0 || notFound < maxNotFound) return failed(toConnectError(error));
    close(new TidegateError("not_found", `No gateway at ${path}: HTTP 404.`));
  };

  const failed = (error: TidegateError): void => {
    if (phase !== "connecting") return;
    const { code } = error;
    const engine = manager.engine as typeof manager.engine | undefined;
    if (code === "timeout" && engine?.readyState === "opening")
      transports = [...transports.slice(1), ...transports.slice(0, 1)] as typeof transports;
    else if (code === "disconnected") transports = preferredTransports;
    socket.disconnect();
    const isTokenRefused = canRefreshToken && (code === "unauthorized" || code === "token_expired");
    if (isTokenRefused && !hasRefetchedToken) {
      // Only once: a _provider whose second token is also refused has no better one.
      hasRefetchedToken = true;
      retry(error, 0);
      // Or it returned something else, such as the text of an error page; its next result may be a token.
    } else if (isTemporary(code) || (isTokenRefused && !isJsonWebToken(token))) retry(error);
    else close(error);
  };

  const retry = (error: TidegateError, delayMs?: number): void => {
    const retryInMs = delayMs ?? delayBefore(failures++, client._backoff, error);
    after(retryInMs, connect);
    setPhase("disconnected", { error, retryInMs });
  };

  const close = (error: TidegateError): void => {
    if (phase === "closed") return;
    clearTimeout(timer);
    setPhase("closed", { error });
    socket.disconnect();
  };

  /** Without DISCONNECT, so that Socket.IO's recovery still works on the next connection. */
  const leaveNode = (): void => {
    isLeavingNode = true;
    manager.engine.close();
  };

  socket.on("connect", () => {
    after(stableAfterMs, () => (failures = 0));
    hasRefetchedToken = false;
    manager.engine.once("upgrade", () => (transports = preferredTransports));
    started();
    setPhase("connected");
  });
  socket.on("connect_error", refused);
  socket.on("disconnect", (reason) => {
    clearTimeout(drainTimer);
    client._connection = undefined;
    if (phase === "connecting") transports = preferredTransports;
    const lost = new TidegateError("disconnected", `The connection was lost: ${reason}.`);
    if (phase !== "closed") retry(lost, isLeavingNode ? 0 : undefined);
    isLeavingNode = false;
  });
  socket.prependAny(started);
  // Leaves shortly before the node would disconnect it, with jitter.
  socket.on("drain", ({ reconnectAfterMs }) => {
    clearTimeout(drainTimer);
    drainTimer = setTimeout(leaveNode, reconnectAfterMs * (0.75 + Math.random() / 4));
  });
  socket.on("closing", ({ code, message, reconnect }) => {
    if (!reconnect || (code === "token_expired" && !canRefreshToken)) close(new TidegateError(code, message));
  });

  return {
    _connect: connect,
    _wake() {
      connect();
      const connection = client._connection;
      if (!connection || isChecking) return;
      isChecking = true;
      // Any answer will do; this one needs no Redis.
      socket.timeout(_wakeTimeoutMs).emit("unsubscribe", { channel: "-" }, (failure) => {
        isChecking = false;
        if (failure && client._connection === connection) leaveNode();
      });
    },
    _close: close,
  };
}
