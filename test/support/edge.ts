import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { inject, onTestFinished } from "vitest";
import { z } from "zod";
import type { Identity } from "../../src/auth/identity.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { jsonValue } from "../../src/protocol/scalars.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger, type Logger } from "../../src/runtime/logger.ts";
import type { Metrics } from "../../src/runtime/metrics.ts";
import { createClientAddress } from "../../src/runtime/client-address.ts";
import { ConnectionRegistry } from "../../src/connections/connections.ts";
import { clientHandler, type ClientHandler } from "../../src/connections/client-handler.ts";
import { loadAccelerator } from "../../src/engine/accelerator.ts";
import type { SocketServerOptions } from "../../src/connections/socket-options.ts";
import { createSocketServer, type SocketServer, type SocketServerDeps } from "../../src/connections/socket-server.ts";
import { quietLog, testMetrics } from "./world.ts";

/** The edge of one node by itself: a real HTTP server, a list of tokens, handlers that answer what they are sent. */
export interface Edge {
  readonly url: string;
  readonly port: number;
  readonly httpServer: Server;
  readonly sockets: SocketServer;
  readonly metrics: Metrics;
}

export interface EdgeOptions extends Partial<SocketServerOptions>, Partial<Omit<SocketServerDeps, "log">> {
  trustedProxies?: string[];
  log?: Logger;
}

/** A token `user:session:jti` is good; every other is not. */
export async function authenticateByList(token: unknown): Promise<Identity> {
  const [userId, sessionId, tokenId] = typeof token === "string" ? token.split(":") : [];
  if (userId === undefined || sessionId === undefined || tokenId === undefined) throw new GatewayError("unauthorized");
  return {
    userId,
    sessionId,
    tokenId,
    issuedAt: Date.now(),
    expiresAt: Date.now() + 60_000,
    expiresBy: "token",
    roles: [],
    channels: { subscribe: [], publish: [] },
  };
}

export const goodToken = "ann:session-1:token-1";

export const echoHandlers: readonly ClientHandler[] = [
  clientHandler("echo", z.strictObject({ text: z.string() }), (_, { text }) => ({ text })),
  clientHandler("mirror", z.strictObject({ data: jsonValue }), (_, { data }) => ({ data })),
  clientHandler("break", z.strictObject({}), () => {
    throw new Error("a secret of the house");
  }),
];

export async function startEdge(options: EdgeOptions = {}): Promise<Edge> {
  const metrics = testMetrics();
  const httpServer = options.httpServer ?? createServer((_, response) => response.writeHead(404).end());
  const sockets = createSocketServer(
    {
      httpServer,
      handlers: echoHandlers,
      registry: new ConnectionRegistry(),
      authenticate: authenticateByList,
      clientAddress: createClientAddress(options.trustedProxies ?? []),
      accelerator: loadAccelerator(inject("accelerator"), { log: quietLog }),
      metrics,
      clock: systemClock,
      log: quietLog,
      ...options,
    },
    { nodeId: "edge", allowedOrigins: "*", closeTimeoutMs: 10_000, ...options },
  );
  sockets.start();
  await new Promise<void>((resolve) => httpServer.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    await sockets.close(AbortSignal.timeout(500));
    httpServer.closeAllConnections();
    await new Promise((resolve) => httpServer.close(resolve));
  });
  const { port } = httpServer.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, httpServer, sockets, metrics };
}

/** A stock client; it has begun to connect. */
export function stockClient(url: string, options: Partial<ManagerOptions & SocketOptions> = {}): Socket {
  const client = io(url, { auth: { token: goodToken }, forceNew: true, reconnection: false, ...options });
  onTestFinished(() => void client.disconnect());
  return client;
}

/** The first time something happens to a stock client. */
export function once<T>(client: Socket, event: string, timeoutMs = 30_000): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${timeoutMs} ms`)), timeoutMs);
    client.once(event, (argument: T) => {
      clearTimeout(timer);
      resolve(argument);
    });
  });
}

/** A refused handshake as a stock client sees it. */
export interface Refusal extends Error {
  data?: { code: string; message: string; retryAfterMs?: number };
}

export async function connected(client: Socket): Promise<Socket> {
  const failed = once<Refusal>(client, "connect_error").then((error) => {
    throw error;
  });
  failed.catch(() => undefined);
  if (!client.connected) await Promise.race([once(client, "connect"), failed]);
  return client;
}

/** A log that can be read afterwards, one object a line. */
export function readableLog(): { log: Logger; lines: Record<string, unknown>[]; text: () => string } {
  const texts: string[] = [];
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write(line: string) {
      texts.push(line);
      lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  return { log: createLogger({ level: "debug", destination }), lines, text: () => texts.join("") };
}

/** A promise whose end somebody else decides. */
export function deferred<T = void>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
} {
  return Promise.withResolvers<T>();
}
