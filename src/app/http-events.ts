import { randomUUID } from "node:crypto";
import { z } from "zod";
import { appUserOf, type AppConnection } from "../connections/connection.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import { closing } from "../protocol/closings.ts";
import { GatewayError } from "../protocol/errors.ts";
import { parseWith } from "../protocol/parse-with.ts";
import { parseJson } from "../protocol/gate.ts";
import { publishBody } from "../protocol/publications.ts";
import { isGatewayEvent, isReservedEvent } from "../protocol/reserved-events.ts";
import { channelName } from "../protocol/scalars.ts";
import { disconnectBody } from "../protocol/sessions.ts";
import type { CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { Clock } from "../runtime/clock.ts";
import { keyOf, sign } from "../webhooks/signature.ts";
import { fromWire, toWire } from "../runtime/binary-json.ts";

export interface HttpEventsOptions {
  url: string;
  /** Signs each request: a text, or `whsec_` and the key in base64. */
  secret: string;
  timeoutMs: number;
  /** Names of the events to forward; `*` forwards any other event. */
  events: Readonly<Record<string, object>>;
  nodeId: string;
}

export interface HttpEventsDeps {
  breaker: CircuitBreaker;
  publish: (publication: z.output<typeof publishBody>) => Promise<unknown>;
  subscribe: (connection: AppConnection, channel: string) => Promise<unknown>;
  unsubscribe: (connection: AppConnection, channel: string) => void;
  clock: Clock;
}

const maxResponseBytes = 1_048_576;
/** Max requests to the app at a time; further events are refused. */
const maxInFlight = 1_000;
/** Consecutive failures after which requests are paused. */
const maxFailures = 5;
const retryAfterMs = 1_000;

const channels = z.array(channelName).max(64).optional();

const appResponse = z.strictObject({
  ack: z.array(z.unknown()).max(32).optional(),
  publish: z.array(publishBody).max(64).optional(),
  subscribe: channels,
  unsubscribe: channels,
  emit: z
    .array(
      z.strictObject({
        event: z.string().refine((event) => !isGatewayEvent(event), "is reserved"),
        args: z.array(z.unknown()).max(32).default([]),
      }),
    )
    .max(64)
    .optional(),
  disconnect: disconnectBody.unwrap().omit({ idempotencyKey: true }).optional(),
});

type AppResponse = z.output<typeof appResponse>;

/** Forwards events to an app over HTTP, signed in the standardwebhooks format, and applies its answers. */
export class HttpEvents implements AppEvents {
  readonly #deps: HttpEventsDeps;
  readonly #options: HttpEventsOptions;
  readonly #key: Buffer;
  #inFlight = 0;
  #failures = 0;

  constructor(deps: HttpEventsDeps, options: HttpEventsOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#key = keyOf(options.secret);
  }

  handlerOf(connection: AppConnection, event: string): ReturnType<AppEvents["handlerOf"]> {
    const { events } = this.#options;
    const isForwarded = Object.hasOwn(events, event) || (Object.hasOwn(events, "*") && !isReservedEvent(event));
    return isForwarded ? (args) => this.#forward(connection, event, args) : undefined;
  }

  async #forward(connection: AppConnection, event: string, args: readonly unknown[]): Promise<readonly unknown[]> {
    const answer = await this.#ask(bodyOf(connection, event, args, this.#options.nodeId));
    await this.#apply(connection, answer);
    return (answer.ack ?? []).map(fromWire);
  }

  async #ask(request: { id: string }): Promise<AppResponse> {
    const { breaker } = this.#deps;
    if (this.#inFlight >= maxInFlight || !breaker.allowRequest())
      throw new GatewayError("unavailable", "The app cannot be reached.", { retryAfterMs });
    this.#inFlight += 1;
    try {
      const answer = await this.#post(request.id, JSON.stringify(request));
      this.#failures = 0;
      breaker.recordSuccess();
      return answer;
    } catch (error) {
      this.#failures += 1;
      if (this.#failures >= maxFailures || breaker.isOpen) breaker.recordFailure(error);
      throw asAppError(error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  async #post(id: string, body: string): Promise<AppResponse> {
    const { url, timeoutMs } = this.#options;
    const timestamp = Math.floor(this.#deps.clock.now() / 1_000);
    const headers = {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": `${timestamp}`,
      "webhook-signature": sign(this.#key, { id, timestamp, body }),
    };
    // A redirect is a failure: it could lead to an address that no operator configured.
    const signal = AbortSignal.timeout(timeoutMs);
    const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
    const text = await readBounded(response);
    if (!response.ok) throw new Error(`the app answered ${response.status}`);
    return text.length === 0
      ? {}
      : parseWith(appResponse, parseJson(text, { maxBytes: maxResponseBytes, maxKeys: 100_000 }), "answer");
  }

  /** In a fixed order; a refused effect fails the event. */
  async #apply(connection: AppConnection, answer: AppResponse): Promise<void> {
    const { publish, subscribe, unsubscribe } = this.#deps;
    for (const channel of answer.subscribe ?? []) await subscribe(connection, channel);
    for (const channel of answer.unsubscribe ?? []) unsubscribe(connection, channel);
    for (const publication of answer.publish ?? []) await publish(publication);
    for (const { event, args } of answer.emit ?? []) connection.emitFromApp(event, args.map(fromWire));
    if (answer.disconnect === undefined) return;
    const { code = "disconnected_by_backend", ...more } = answer.disconnect;
    // After the acknowledgement.
    setImmediate(() => connection.close(closing(code, more)));
  }
}

function bodyOf(connection: AppConnection, event: string, args: readonly unknown[], nodeId: string) {
  const { id: connectionId, address, userAgent, identity } = connection;
  return {
    id: `msg_${randomUUID()}`,
    type: "event",
    event,
    args: args.map(toWire),
    namespace: "/",
    connection: { connectionId, nodeId, address, userAgent },
    user: appUserOf(identity),
  };
}

async function readBounded(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxResponseBytes) throw new Error(`the app answered more than ${maxResponseBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function asAppError(error: unknown): GatewayError {
  const isTimeout = error instanceof Error && error.name === "TimeoutError";
  return new GatewayError(isTimeout ? "timeout" : "app_failed", undefined, { retryAfterMs, cause: error });
}
