import { Client, type Dispatcher } from "undici";
import type { Clock } from "../runtime/clock.ts";
import { TimerWheel, type Due } from "../runtime/timer-wheel.ts";

export interface PostRequest {
  body: string;
  headers: Record<string, string>;
}

export interface PostResponse {
  status: number;
  body: Buffer;
}

export interface PostClientOptions {
  url: string;
  /** Max time until the whole response has arrived. */
  timeoutMs: number;
}

/**
 * The app has answered, so it can be reached: the fault is about this request. It does not count for the circuit breaker, or
 * one user whose events the app cannot handle could cut off all others.
 */
export class AnswerFault extends Error {}

const maxResponseBytes = 1_048_576;
/** Max bytes of all responses that are being read. */
const maxBufferedBytes = 64 * 1_048_576;

/**
 * Posts to one URL over keep-alive connections with one request at a time, without following redirects. With undici's `Client`,
 * because `node:http` takes one and a half times the CPU, and `fetch` several times.
 */
export class PostClient {
  readonly #origin: string;
  readonly #path: string;
  readonly #timeoutMs: number;
  readonly #timeouts: TimerWheel;
  readonly #idle: KeptConnection[] = [];
  readonly #connections = new Set<KeptConnection>();
  #bufferedBytes = 0;

  constructor(clock: Clock, { url, timeoutMs }: PostClientOptions) {
    const { origin, pathname, search } = new URL(url);
    this.#origin = origin;
    this.#path = pathname + search;
    this.#timeoutMs = timeoutMs;
    this.#timeouts = new TimerWheel(clock, timeoutMs);
  }

  /** Rejects with a TimeoutError, an AnswerFault, or the error of the connection. */
  post(request: PostRequest): Promise<PostResponse> {
    return new Promise((resolve, reject) => {
      const exchange = new Exchange(this, { ...request, path: this.#path, method: "POST" }, { resolve, reject });
      this.#timeouts.schedule(exchange, this.#timeoutMs);
      exchange.send();
    });
  }

  /** Closes all connections; requests in flight fail. */
  async close(): Promise<void> {
    await Promise.all([...this.#connections].map(({ client }) => client.destroy()));
  }

  take(): KeptConnection {
    return this.#idle.pop() ?? this.#open();
  }

  #open(): KeptConnection {
    // Time-outs are those of the exchange.
    const client = new Client(this.#origin, { connectTimeout: this.#timeoutMs, headersTimeout: 0, bodyTimeout: 0 });
    const connection: KeptConnection = { client, served: 0 };
    client.on("connect", () => (connection.served = 0));
    this.#connections.add(connection);
    return connection;
  }

  release(connection: KeptConnection): void {
    this.#idle.push(connection);
  }

  cancelTimeout(exchange: Exchange): void {
    this.#timeouts.cancel(exchange);
  }

  /** Counts bytes that are kept in memory; false if they are too many. */
  buffer(bytes: number): boolean {
    this.#bufferedBytes += bytes;
    return this.#bufferedBytes <= maxBufferedBytes;
  }
}

/** A connection that is opened when it is needed, and again after it was closed. */
interface KeptConnection {
  readonly client: Client;
  /** Responses since it was opened. */
  served: number;
}

interface Settle {
  resolve(response: PostResponse): void;
  reject(error: unknown): void;
}

/** One request and its response. */
class Exchange implements Dispatcher.DispatchHandler, Due {
  dueTick = -1;
  readonly #posts: PostClient;
  readonly #request: Dispatcher.DispatchOptions;
  readonly #settle: Settle;
  #connection: KeptConnection | undefined;
  #controller: Dispatcher.DispatchController | undefined;
  #isSettled = false;
  #isRepeated = false;
  #status = 0;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(posts: PostClient, request: Dispatcher.DispatchOptions, settle: Settle) {
    this.#posts = posts;
    this.#request = request;
    this.#settle = settle;
  }

  send(): void {
    this.#connection = this.#posts.take();
    this.#connection.client.dispatch(this.#request, this);
  }

  /** Too late: the connection is closed, because the response may still arrive on it. */
  due(): void {
    this.#abort(Object.assign(new Error("no complete answer in time"), { name: "TimeoutError" }));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isSettled) controller.abort(new Error("no longer awaited"));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.#status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const isWithinBounds = this.#posts.buffer(chunk.length);
    if (this.#bytes > maxResponseBytes)
      this.#abort(new AnswerFault(`the app answered more than ${maxResponseBytes} bytes`));
    else if (!isWithinBounds) this.#abort(new AnswerFault("too many large answers of the app at a time"));
  }

  onResponseEnd(): void {
    if (this.#connection !== undefined) this.#connection.served += 1;
    this.#release();
    if (this.#end()) this.#settle.resolve({ status: this.#status, body: this.#body() });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const mayRepeat = !this.#isSettled && !this.#isRepeated && this.#isCutWhileIdle(error);
    this.#release();
    if (mayRepeat) {
      this.#isRepeated = true;
      return this.send();
    }
    if (this.#end()) this.#settle.reject(this.#status > 0 ? endedEarly(error) : error);
  }

  /**
   * The app closed a connection on which it had answered before, and nothing of a response came: it closed the idle
   * connection while the request was on its way. On a new connection, the app may have failed because of the request.
   */
  #isCutWhileIdle(error: Error): boolean {
    const isReused = (this.#connection?.served ?? 0) > 0;
    return isReused && this.#status === 0 && cutCodes.includes(String((error as { code?: unknown }).code));
  }

  #abort(error: Error): void {
    if (this.#end()) this.#settle.reject(error);
    this.#controller?.abort(error);
  }

  /** False if it has ended before. */
  #end(): boolean {
    if (this.#isSettled) return false;
    this.#isSettled = true;
    this.#posts.cancelTimeout(this);
    this.#posts.buffer(-this.#bytes);
    return true;
  }

  #release(): void {
    if (this.#connection !== undefined) this.#posts.release(this.#connection);
    this.#connection = undefined;
  }

  #body(): Buffer {
    const [only, ...more] = this.#chunks;
    return only !== undefined && more.length === 0 ? only : Buffer.concat(this.#chunks);
  }
}

const cutCodes: readonly string[] = ["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"];

const endedEarly = (error: Error): Error => new Error("the answer ended early", { cause: error });
