import { inject, onTestFinished } from "vitest";
import { io, type ManagerOptions, type Socket, type SocketOptions } from "socket.io-client";
import { loadConfig } from "../../src/config.ts";
import { createNode, type GatewayNode } from "../../src/gateway.ts";
import type { Contract } from "../../src/protocol/contract/contract.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import { despiteStalls } from "./promised.ts";
import { freshPrefix, quietLog } from "./world.ts";

/** A real node in this process, on a free port and the run's Redis, under a prefix of its own. */
export interface TestGateway extends BackendCalls {
  gateway: GatewayNode;
  url: string;
  prefix: string;
  /** A fresh session's token. */
  signIn(userId: string, more?: object): Promise<SignedIn>;
  /** A stock client that has been told `ready`; closed when the test ends. */
  connect(token: string, options?: ClientOptions): Promise<Client>;
}

export interface SignedIn {
  sessionId: string;
  token: string;
  expiresAt: number;
}

export type ClientOptions = Partial<ManagerOptions & SocketOptions>;

/** A stock client and what it was told. */
export type Client = Socket & { ready: Record<string, unknown>; events: [string, ...unknown[]][] };

export interface BackendCalls {
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<{ status: number; body: any; headers: Headers }>;
}

export const apiKey = "test-key-of-at-least-thirty-two-bytes";

export interface TestGatewayOptions {
  prefix?: string;
  env?: Record<string, string>;
  /** What GATEWAY_CONFIG would name. */
  file?: object;
  /** @default the system's */
  clock?: Clock;
  /** @default nobody reads it */
  log?: Logger;
  contract?: Contract;
}

export async function startGateway({
  prefix = freshPrefix(),
  env = {},
  file,
  clock,
  log = quietLog,
  contract,
}: TestGatewayOptions = {}): Promise<TestGateway> {
  const environment = {
    PORT: "0",
    HOST: "127.0.0.1",
    REDIS_URL: inject("redisUrl"),
    KEY_PREFIX: prefix,
    API_KEYS: `test:${apiKey}`,
    LOG_LEVEL: "silent",
    ACCELERATOR: inject("accelerator"),
    DRAIN_TIMEOUT_MS: "2000",
    ...env,
  };
  const config = loadConfig(file === undefined ? environment : { ...environment, GATEWAY_CONFIG: "test.json" }, () =>
    JSON.stringify(file),
  );
  const gateway = await createNode(config, { log, contract, ...(clock && { clock }) });
  await gateway.start();
  onTestFinished(async () => void (await gateway.drain()));
  const { url } = gateway;
  const call: BackendCalls["call"] = (...request) =>
    despiteStalls(
      () => backend(url).call(...request),
      ({ status, body }) => status === 503 && body?.code === "unavailable",
    );
  return {
    gateway,
    url,
    prefix,
    call,
    connect: (token, options) => connectClient(url, token, options),
    signIn: async (userId, more = {}) => (await call("POST", "/v1/sessions", { userId, ...more })).body as SignedIn,
  };
}

/** The backend API of a node. */
export function backend(url: string, key = apiKey): BackendCalls {
  return {
    async call(method, path, body, headers = {}) {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, body: text === "" ? undefined : JSON.parse(text), headers: response.headers };
    },
  };
}

/** Resolves with `ready`; rejects with the `connect_error`, which carries `data`. */
export async function connectClient(url: string, token: string, options: ClientOptions = {}): Promise<Client> {
  const outcome = await despiteStalls(
    () => connectOnce(url, token, options),
    (refused) => refused instanceof Error && refusalOf(refused) === "status 503",
  );
  if (outcome instanceof Error) throw outcome;
  return outcome;
}

function connectOnce(url: string, token: string, options: ClientOptions): Promise<Client | Error> {
  const client = openClient(url, token, options);
  return new Promise((resolve) => {
    const refused = (error: Error): void => {
      // Else one that reconnects would come in beside the next.
      client.disconnect();
      resolve(error);
    };
    client.once("connect_error", refused);
    client.once("ready", () => {
      client.off("connect_error", refused);
      resolve(client);
    });
  });
}

/** The same without waiting. */
export function openClient(url: string, token: string, options: ClientOptions = {}): Client {
  const socket = io(url, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: false,
    auth: { token },
    ...options,
  });
  const client = Object.assign(socket, { ready: {}, events: [] as [string, ...unknown[]][] });
  client.onAny((event: string, ...args: unknown[]) => void client.events.push([event, ...args]));
  client.on("ready", (ready: Record<string, unknown>) => (client.ready = ready));
  onTestFinished(() => void socket.disconnect());
  return client;
}

/** Why a stock client was not let in: the code of its refusal, or the status with which its transport was refused. */
export function refusalOf({ message, description }: Error & { description?: unknown }): string {
  if (typeof description === "number") return `status ${description}`;
  const [, status] = /response: (\d+)/.exec((description as Error | undefined)?.message ?? "") ?? [];
  return status === undefined ? message : `status ${status}`;
}

/** What the client was told of one event, in order. */
export function told<T = Record<string, any>>(client: Client, event: string): T[] {
  return client.events.filter(([name]) => name === event).map(([, argument]) => argument as T);
}
