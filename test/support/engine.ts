import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { Engine, type EngineDeps, type EngineOptions } from "../../src/engine/engine.ts";
import type { EngineSocket } from "../../src/engine/engine-socket.ts";
import type { GatewayError } from "../../src/protocol/errors.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { quietLog } from "./world.ts";

/** An engine by itself, on a real HTTP server; every connection answers each message with the same. */
export interface TestEngine {
  readonly engine: Engine;
  readonly server: Server;
  readonly url: string;
  readonly port: number;
  /** Every connection that was opened, in order. */
  readonly sockets: EngineSocket[];
  /** Why connections closed, in order. */
  readonly closed: string[];
  readonly refused: GatewayError[];
  readonly reported: unknown[];
  /** How many HTTP requests have come, upgrades aside. */
  requests(): number;
}

export async function startEngine(options: Partial<EngineOptions & EngineDeps> = {}): Promise<TestEngine> {
  const [sockets, closed, refused, reported]: [EngineSocket[], string[], GatewayError[], unknown[]] = [[], [], [], []];
  const engine = new Engine(
    {
      onRefused: (refusal) => refused.push(refusal),
      onSkipped: () => undefined,
      report: (_, error) => reported.push(error),
      clock: systemClock,
      log: quietLog,
      ...options,
    },
    {
      allowedOrigins: "*",
      maxPayload: 131_072,
      pingIntervalMs: 25_000,
      pingTimeoutMs: 20_000,
      upgradeTimeoutMs: 5_000,
      closeTimeoutMs: 1_000,
      queueBytes: 1_048_576,
      ...options,
    },
  );
  engine.on("connection", (socket: EngineSocket) => {
    sockets.push(socket);
    socket.on("data", (data: string | Buffer) => socket.write(data));
    socket.on("close", (reason: string) => closed.push(reason));
  });
  const server = createServer((_, response) => response.writeHead(404).end());
  engine.attach(server);
  let requests = 0;
  server.on("request", () => (requests += 1));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    engine.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    engine,
    server,
    url: `http://127.0.0.1:${port}`,
    port,
    sockets,
    closed,
    refused,
    reported,
    requests: () => requests,
  };
}
