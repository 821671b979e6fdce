import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import { AppFault, GatewayError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/gate.ts";
import { parseWith } from "../protocol/parse-with.ts";
import type { CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { Clock } from "../runtime/clock.ts";
import { newTraceparent, type Spans } from "../runtime/spans.ts";
import { authorizationIn } from "../webhooks/endpoints.ts";
import { keysOf, sign, type Secrets } from "../webhooks/signature.ts";
import type { AppRequest } from "./app-request.ts";
import { AnswerFault, PostClient, type PostResponse } from "./post-client.ts";

export interface AppClientOptions {
  /** A user and password in it are sent as basic authentication. */
  url: string;
  /** Signs each request: a text, or `whsec_` and the key in base64. */
  secret: Secrets;
  timeoutMs: number;
}

export interface AppClientDeps {
  breaker: CircuitBreaker;
  spans: Pick<Spans, "run" | "traceparent">;
  clock: Clock;
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
  readonly #keys: readonly KeyObject[];
  readonly #authorization: string | undefined;
  readonly #posts: PostClient;
  #inFlight = 0;
  #connecting = 0;
  #failures = 0;

  constructor(deps: AppClientDeps, options: AppClientOptions) {
    this.#deps = deps;
    this.#keys = keysOf(options.secret);
    this.#authorization = authorizationIn(new URL(options.url));
    this.#posts = new PostClient(deps.clock, options);
  }

  /** Throws `timeout`, `app_failed` or `unavailable`, each with `retryAfterMs`. */
  async ask<S extends z.ZodType>(request: AppRequest, schema: S): Promise<z.output<S>> {
    const { clock } = this.#deps;
    const startedAt = clock.monotonic();
    const isConnecting = request.type === "connect" ? 1 : 0;
    let outcome: AppOutcome = "ok";
    try {
      this.#admit(isConnecting);
      const answer = await this.#call(request, schema, isConnecting);
      this.#reached();
      return answer;
    } catch (error) {
      const failure = this.#failed(error);
      outcome = failure.code as AppOutcome;
      throw failure;
    } finally {
      this.#deps.onAnswered(request.type, outcome, (clock.monotonic() - startedAt) / 1_000);
    }
  }

  /** Closes the connections; requests in flight fail. */
  close(): Promise<void> {
    return this.#posts.close();
  }

  #admit(isConnecting: 0 | 1): void {
    const isFull = this.#inFlight >= maxInFlight || (isConnecting === 1 && this.#connecting >= maxConnecting);
    if (isFull || !this.#deps.breaker.allowRequest())
      throw new GatewayError("unavailable", "The app cannot be reached.", { retryAfterMs });
  }

  #reached(): void {
    this.#failures = 0;
    this.#deps.breaker.recordSuccess();
  }

  #failed(error: unknown): GatewayError {
    // It was not sent.
    if (error instanceof GatewayError) return error;
    if (error instanceof AnswerFault) this.#reached();
    else this.#unreachable(error);
    return toAppError(error);
  }

  #unreachable(error: unknown): void {
    const { breaker } = this.#deps;
    this.#failures += 1;
    if (this.#failures >= maxFailures || breaker.isOpen) breaker.recordFailure(error);
  }

  async #call<S extends z.ZodType>(request: AppRequest, schema: S, isConnecting: 0 | 1): Promise<z.output<S>> {
    this.#inFlight += 1;
    this.#connecting += isConnecting;
    try {
      return await this.#post(request, schema);
    } finally {
      this.#inFlight -= 1;
      this.#connecting -= isConnecting;
    }
  }

  /** In a span of what the gateway does, else of the client. */
  #post<S extends z.ZodType>({ traceparent: ofClient, ...request }: AppRequest, schema: S): Promise<z.output<S>> {
    const { spans } = this.#deps;
    const body = JSON.stringify(request);
    const parent = spans.traceparent() === undefined ? ofClient : undefined;
    return spans.run(`app call ${request.type}`, { kind: "client", parent }, async () => {
      const headers = this.#headersOf(request.id, body, spans.traceparent() ?? ofClient ?? newTraceparent());
      return readAnswer(await this.#posts.post({ body, headers }), schema);
    });
  }

  #headersOf(id: string, body: string, traceparent: string): Record<string, string> {
    const timestamp = Math.floor(this.#deps.clock.now() / 1_000);
    return {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": `${timestamp}`,
      "webhook-signature": sign(this.#keys, { id, timestamp, body }),
      ...(this.#authorization !== undefined && { authorization: this.#authorization }),
      traceparent,
    };
  }
}

/** Of a proxy, or of an app that is overloaded. */
const gatewayStatuses: readonly number[] = [502, 503, 504];

/** Throws an AnswerFault if the answer is not what the schema describes, or an Error if a proxy answered for the app. */
function readAnswer<S extends z.ZodType>({ status, body }: PostResponse, schema: S): z.output<S> {
  if (gatewayStatuses.includes(status)) throw new Error(`the app answered ${status}`);
  if (status < 200 || status > 299) throw new AnswerFault(`the app answered ${status}`);
  return orFault(() => parseWith(schema, parseAnswer(body), "answer"));
}

/** Its size is bounded already. */
const parseAnswer = (text: Buffer): unknown =>
  text.length === 0 ? {} : parseJson(text, { maxBytes: Infinity, maxKeys: 100_000 });

function orFault<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new AnswerFault("the answer is invalid", { cause: error });
  }
}

function toAppError(error: unknown): GatewayError {
  if (error instanceof Error && error.name === "TimeoutError")
    return new GatewayError("timeout", undefined, { retryAfterMs, cause: error });
  const cause = error instanceof AnswerFault && error.cause instanceof GatewayError ? error.cause : error;
  return new AppFault(cause instanceof Error ? cause : new Error(String(cause)));
}
