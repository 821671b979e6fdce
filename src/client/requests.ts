import type { Acknowledgement, AnswerOf, RequestName, RequestOf } from "../protocol/wire.ts";
import { type Backoff, delayBefore, cancellableDelay } from "./backoff.ts";
import { deferred } from "./deferred.ts";
import { isTemporary, TidegateError } from "./errors.ts";
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
  const open = new Set<(reason: TidegateError) => void>();
  const waiting = new Set<() => void>();
  let closedBy: TidegateError | undefined;
  let roundTripMs: number | undefined;
  let maxBytes = Infinity;

  function send(name: RequestName, message: object): Promise<Acknowledgement<object>> {
    const bytes = messageBytes(name, message);
    const { promise, resolve, reject } = deferred<Acknowledgement<object>>();
    open.add(reject);
    whenConnected(name, reject, (leftMs) => {
      if (bytes > maxBytes) return settle(() => reject(tooLarge(bytes, maxBytes)));
      const begun = performance.now();
      (socket.timeout(leftMs) as UntypedEmit).emit(name, message, (failure, answer) => {
        if (failure !== null) return settle(() => reject(unanswered(name, failure)));
        roundTripMs = performance.now() - begun;
        settle(() => resolve(answer));
      });
    });
    function settle(run: () => void): void {
      open.delete(reject);
      run();
    }
    return promise;
  }

  /**
   * Waits here instead of in Socket.IO's buffer, because the node's max message size is known only after the handshake.
   */
  function whenConnected(name: RequestName, reject: (reason: TidegateError) => void, run: (leftMs: number) => void) {
    if (socket.connected) return run(timeoutMs);
    const due = performance.now() + timeoutMs;
    const begin = (): void => {
      clearTimeout(timer);
      if (open.has(reject)) run(Math.max(1, due - performance.now()));
    };
    const timer = setTimeout(() => {
      waiting.delete(begin);
      open.delete(reject);
      reject(timedOut(name));
    }, timeoutMs);
    waiting.add(begin);
  }

  socket.on("connect", () => {
    const ready = [...waiting];
    waiting.clear();
    for (const begin of ready) begin();
  });

  return {
    async request(name, message) {
      if (closedBy !== undefined) throw closedBy;
      const answer = await send(name, message);
      if (!answer.ok) throw TidegateError.of(answer.error);
      const { ok: _ok, ...fields } = answer;
      return fields as AnswerOf<typeof name>;
    },
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
      open.clear();
      for (const begin of waiting) begin();
      waiting.clear();
    },
  };
}

/** Socket.IO's types need a single event name; a request's name is a union. */
interface UntypedEmit {
  emit(name: string, message: object, done: (failure: Error | null, answer: Acknowledgement<object>) => void): void;
}

function unanswered(name: RequestName, failure: Error): TidegateError {
  return failure.message.includes("timed out")
    ? timedOut(name, failure)
    : new TidegateError("disconnected", `The connection was lost before ${name} was answered.`, { cause: failure });
}

const timedOut = (name: RequestName, cause?: Error): TidegateError =>
  new TidegateError("timeout", `${name} timed out.`, { cause });

const tooLarge = (bytes: number, maxBytes: number): TidegateError =>
  new TidegateError("payload_too_large", `The message has ${bytes} bytes; the gateway accepts at most ${maxBytes}.`);

/** Retries temporary failures up to `retries` times. The caller ensures that retrying is safe. */
export async function withRetries<T>(task: () => Promise<T>, retries: number, backoff: Backoff): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof TidegateError) || !isTemporary(error.code) || attempt >= retries) throw error;
      await cancellableDelay(delayBefore(attempt, backoff, error.retryAfterMs)).done;
    }
  }
}
