import { connect } from "node:net";
import { onTestFinished } from "vitest";
import type { Published, PublishRequest } from "../../src/channels/publication.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { kindOf } from "../../src/protocol/names.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { createHttpServer, type HttpServerDeps, type HttpServerOptions } from "../../src/http/http-server.ts";
import { createReadiness } from "../../src/http/readiness.ts";
import { createChannelRoutes } from "../../src/http/routes/channels.ts";
import { createPublishRoutes } from "../../src/http/routes/publish.ts";
import { noSchedule, publishExecutor } from "../support/publish-executor.ts";
import { testMetrics } from "../support/world.ts";

export const apiKey = "a-key-for-tests-0123456789abcdef0123456789";
const apiKeys = [{ name: "tests", secret: apiKey }];

/** Channels that remember what they were asked; they stand in for the store, which has its own tests. */
export function recordingChannels() {
  const requests: PublishRequest[] = [];
  const histories: unknown[] = [];

  async function publish(request: PublishRequest): Promise<Published> {
    if (kindOf(request.channel) === "unknown") throw new GatewayError("unknown_channel");
    if (kindOf(request.channel) === "broken") throw new Error("secret address 10.1.2.3:6379");
    requests.push(request);
    return { channel: request.channel, epoch: "e1", offset: requests.length, duplicate: false };
  }

  return {
    requests,
    histories,
    publish,
    async history(channel: string, query: object) {
      histories.push({ channel, ...query });
      return { channel, epoch: "e1", offset: 0, publications: [] };
    },
    clearHistory: async () => 3,
    async list({ prefix = "" }: { prefix?: string | undefined }) {
      return { channels: [{ channel: `${prefix}lobby`, subscribers: 2 }] };
    },
  };
}

/** The real server on a free port, with the real routes of publishing and channels unless others are given. */
export async function startHttp(deps: Partial<HttpServerDeps> = {}, options: Partial<HttpServerOptions> = {}) {
  const channels = recordingChannels();
  const metrics = testMetrics();
  const { log, lines } = recordingLog();
  const routes = [
    ...createPublishRoutes({ executor: publishExecutor(channels.publish, metrics), schedule: noSchedule }),
    ...createChannelRoutes(channels),
  ];
  const readiness = createReadiness({ checks: {}, clock: systemClock });
  const http = createHttpServer(
    { routes, apiKeys, readiness, metrics, log, clock: systemClock, ...deps },
    { host: "127.0.0.1", port: 0, version: "1.2.3", ...options },
  );
  await http.start();
  onTestFinished(() => http.stop(AbortSignal.abort()));
  const url = `http://127.0.0.1:${http.port}`;
  return { http, url, channels, metrics, lines, routes, call: caller(url) };
}

/** Every line a node logs, at the level that says most. */
export function recordingLog() {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  return { log, lines };
}

interface Call {
  method?: string;
  headers?: Record<string, string>;
  /** Sent as JSON, text as it is. */
  body?: unknown;
}

/** Calls with the key and the content type, unless `headers` say otherwise. */
function caller(url: string) {
  return async (path: string, { method, headers, body }: Call = {}) => {
    const text = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
    const response = await fetch(url + path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", ...headers },
      redirect: "manual",
      ...(text === undefined ? {} : { body: text }),
    });
    const answer = await response.text();
    return { status: response.status, headers: response.headers, text: answer, json: asJson(answer) };
  };
}

// oxlint-disable-next-line typescript/no-explicit-any -- what an answer holds is what the test is about
function asJson(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Writes bytes to the port as they are, and gives what came back until the server closed or `waitMs` passed. */
export function sendRaw(port: number, bytes: string, waitMs = 20_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(finish, waitMs);
    socket.on("data", (chunk) => (answer += chunk.toString("latin1")));
    socket.once("close", finish);
    socket.once("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? finish() : reject(error)));
    socket.write(bytes, "latin1");
  });
}

export const publishBody = { channel: "chat:lobby", event: "said", data: { text: "hello" } };
