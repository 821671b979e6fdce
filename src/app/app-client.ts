import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import { GatewayError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/gate.ts";
import { parseWith } from "../protocol/parse-with.ts";
import type { CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Spans } from "../runtime/spans.ts";
import { keyOf, sign } from "../webhooks/signature.ts";
import type { AppRequest } from "./app-request.ts";
import { AnswerFault, PostClient, type PostResponse } from "./post-client.ts";

export interface AppClientOptions {
  url: string;
  /** Signs each request: a text, or `whsec_` and the key in base64. */
  secret: string;
  timeoutMs: number;
}

export interface AppClientDeps {
  breaker: CircuitBreaker;
  spans: Pick<Spans, "run" | "traceparent">;
  clock: Pick<Clock, "now" | "monotonic">;
  /** Called after each request, and for one that is not sent. */
  onAnswered: (type: AppRequest["type"], outcome: AppOutcome, seconds: number) => void;
}

export type AppOutcome = "ok" | "timeout" | "app_failed" | "unavailable";

/** Max requests to the app at a time; further ones are refused. */
const maxInFlight = 1_000;
/** The same for clients that have not authenticated, so that they leave room for the others. */
const maxConnecting = 500;
/** Consecutive failures to reach the app after which requests are paused. */
const maxFailures = 5;
const retryAfterMs = 1_000;

/** Sends requests to an app over HTTP, signed in the standardwebhooks format. */
export class AppClient {
  readonly #deps: AppClientDeps;
  readonly #options: AppClientOptions;
  readonly #key: KeyObject;
  readonly #posts: PostClient;
  #inFlight = 0;
  #connecting = 0;
  #failures = 0;

  constructor(deps: AppClientDeps, options: AppClientOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#key = keyOf(options.secret);
    this.#posts = new PostClient(options.url);
  }

  /** Throws `timeout`, `app_failed` or `unavailable`, each with `retryAfterMs`. */
  async ask<S extends z.ZodType>(request: AppRequest, schema: S): Promise<z.output<S>> {
    const { clock, onAnswered } = this.#deps;
    const startedAt = clock.monotonic();
    let outcome: AppOutcome = "ok";
    try {
      return await this.#ask(request, schema);
    } catch (error) {
      outcome = (error as GatewayError).code as AppOutcome;
      throw error;
    } finally {
      onAnswered(request.type, outcome, (clock.monotonic() - startedAt) / 1_000);
    }
  }

  async #ask<S extends z.ZodType>(request: AppRequest, schema: S): Promise<z.output<S>> {
    const isConnecting = request.type === "connect" ? 1 : 0;
    const isFull = this.#inFlight >= maxInFlight || (isConnecting === 1 && this.#connecting >= maxConnecting);
    if (isFull || !this.#deps.breaker.allowRequest())
      throw new GatewayError("unavailable", "The app cannot be reached.", { retryAfterMs });
    this.#inFlight += 1;
    this.#connecting += isConnecting;
    try {
      const answer = await this.#call(request, (text) => parseWith(schema, parseAnswer(text), "answer"));
      this.#reached();
      return answer;
    } catch (error) {
      if (error instanceof AnswerFault) this.#reached();
      else this.#unreachable(error);
      throw toAppError(error);
    } finally {
      this.#inFlight -= 1;
      this.#connecting -= isConnecting;
    }
  }

  #reached(): void {
    this.#failures = 0;
    this.#deps.breaker.recordSuccess();
  }

  #unreachable(error: unknown): void {
    const { breaker } = this.#deps;
    this.#failures += 1;
    if (this.#failures >= maxFailures || breaker.isOpen) breaker.recordFailure(error);
  }

  /** In a span of what the gateway does, else of the client. */
  #call<T>(request: AppRequest, parse: (text: Buffer) => T): Promise<T> {
    const { spans } = this.#deps;
    const parent = spans.traceparent() === undefined ? request.traceparent : undefined;
    return spans.run(`app call ${request.type}`, { kind: "client", parent }, () => {
      const traceparent = spans.traceparent() ?? request.traceparent;
      return this.#post(traceparent === undefined ? request : { ...request, traceparent }, parse);
    });
  }

  async #post<T>({ traceparent, ...request }: AppRequest, parse: (text: Buffer) => T): Promise<T> {
    const body = JSON.stringify(request);
    const headers = this.#headersOf(request.id, body, traceparent);
    const endsAt = performance.now() + this.#options.timeoutMs;
    const send = (): Promise<PostResponse> =>
      this.#posts.post({ body, headers, timeoutMs: endsAt - performance.now() });
    // An app may close an idle connection while the request is on its way. A repeat has the same id.
    const response = await send().catch((error: unknown) => {
      if (isCutConnection(error)) return send();
      throw error;
    });
    const { status, body: text } = response;
    if (gatewayStatuses.includes(status)) throw new Error(`the app answered ${status}`);
    if (status < 200 || status > 299) throw new AnswerFault(`the app answered ${status}`);
    return orFault(() => parse(text));
  }

  #headersOf(id: string, body: string, traceparent: string | undefined): Record<string, string> {
    const timestamp = Math.floor(this.#deps.clock.now() / 1_000);
    return {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": `${timestamp}`,
      "webhook-signature": sign(this.#key, { id, timestamp, body }),
      ...(traceparent !== undefined && { traceparent }),
    };
  }
}

/** Of a proxy, or of an app that is overloaded. */
const gatewayStatuses: readonly number[] = [502, 503, 504];

/** Its size is bounded already. */
const parseAnswer = (text: Buffer): unknown =>
  text.length === 0 ? {} : parseJson(text, { maxBytes: Infinity, maxKeys: 100_000 });

function orFault<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new AnswerFault(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** The connection ended before the app answered. */
function isCutConnection(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return ["ECONNRESET", "EPIPE"].includes(String(code));
}

function toAppError(error: unknown): GatewayError {
  const isTimeout = error instanceof Error && error.name === "TimeoutError";
  return new GatewayError(isTimeout ? "timeout" : "app_failed", undefined, { retryAfterMs, cause: error });
}
