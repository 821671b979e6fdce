import type { Acknowledgement, AnswerOf, RequestName, RequestOf } from "../protocol/wire.ts";
import { type Backoff, retryDelay } from "./backoff.ts";
import { deferred } from "./deferred.ts";
import { isPermanent, TidegateError } from "./errors.ts";
import { messageBytes } from "./message-bytes.ts";
import type { GatewaySocket } from "./socket.ts";

/** Sends a request to the gateway. Waits for a connection, if there is none, within the timeout. */
export type SendRequest = <Name extends RequestName>(name: Name, message: RequestOf<Name>) => Promise<AnswerOf<Name>>;

export interface Requests {
  request: SendRequest;
  /** Round trip of the last answered request in milliseconds. */
  readonly roundTripMs: number | undefined;
  /** Set after `close`. */
  readonly closedBy: TidegateError | undefined;
  /** Sets the node's max message size. Larger messages would end the connection, so they are refused here. */
  setPayloadLimit(maxBytes: number): void;
  /** Rejects pending and later requests. */
  close(reason: TidegateError): void;
}

export function createRequests(socket: GatewaySocket, timeoutMs: number): Requests {
  /** Reject the open requests. */
  const open = new Set<(reason: TidegateError) => void>();
  /** Send the requests made while disconnected. */
  const waiting = new Set<() => void>();
  let closedBy: TidegateError | undefined;
  let roundTripMs: number | undefined;
  let maxBytes = Infinity;

  const request: SendRequest = async (name, message) => {
    if (closedBy !== undefined) throw closedBy;
    const bytes = messageBytes(name, message);
    const { promise, resolve, reject } = deferred<Acknowledgement<object>>();
    const send = (): void => {
      if (bytes > maxBytes) return reject(tooLarge(bytes, maxBytes));
      const begun = performance.now();
      // Its own timeout is later; with one it reports a lost connection.
      (socket.timeout(2 * timeoutMs) as UntypedEmit).emit(name, message, (failure, answer) => {
        if (failure !== null) return reject(unanswered(name, failure));
        roundTripMs = performance.now() - begun;
        resolve(answer);
      });
    };
    const timer = setTimeout(() => reject(new TidegateError("timeout", `${name} timed out.`)), timeoutMs);
    open.add(reject);
    // Waits here instead of in Socket.IO's buffer, because the node's max message size is known only when connected.
    if (socket.connected) send();
    else waiting.add(send);
    try {
      const answer = await promise;
      if (!answer.ok) throw new TidegateError(answer.error.code, answer.error.message, answer.error);
      const { ok: _ok, ...fields } = answer;
      return fields as AnswerOf<typeof name>;
    } finally {
      clearTimeout(timer);
      open.delete(reject);
      waiting.delete(send);
    }
  };

  socket.on("connect", () => {
    for (const send of waiting) send();
    waiting.clear();
  });

  return {
    request,
    get roundTripMs() {
      return roundTripMs;
    },
    get closedBy() {
      return closedBy;
    },
    setPayloadLimit: (bytes) => void (maxBytes = bytes),
    close(reason) {
      closedBy ??= reason;
      for (const reject of open) reject(reason);
    },
  };
}

/** Socket.IO's types need a single event name; a request's name is a union. */
interface UntypedEmit {
  emit(name: string, message: object, done: (failure: Error | null, answer: Acknowledgement<object>) => void): void;
}

const unanswered = (name: RequestName, cause: Error): TidegateError =>
  new TidegateError("disconnected", `The connection was lost before ${name} was answered.`, { cause });

const tooLarge = (bytes: number, maxBytes: number): TidegateError =>
  new TidegateError("payload_too_large", `The message has ${bytes} bytes; the gateway accepts at most ${maxBytes}.`);

/** Retries temporary failures up to `retries` times. The caller ensures that retrying is safe. */
export async function withRetries<T>(task: () => Promise<T>, retries: number, backoff: Backoff): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (isPermanent(error) || attempt >= retries) throw error;
      await retryDelay(attempt, backoff, error).done;
    }
  }
}
