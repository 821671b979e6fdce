import type { Acknowledgement, AnswerOf, RequestName, RequestOf } from "../protocol/wire.ts";
import { type Backoff, delayBefore, pause } from "./backoff.ts";
import { deferred } from "./deferred.ts";
import { isTemporary, TidegateError } from "./errors.ts";
import { messageBytes } from "./message-bytes.ts";
import type { GatewaySocket } from "./socket.ts";

/** Asks the gateway. Waits for a connection if there is none, for as long as the time-out allows. */
export type Request = <Name extends RequestName>(name: Name, message: RequestOf<Name>) => Promise<AnswerOf<Name>>;

export interface Requests {
  request: Request;
  /** Milliseconds the last answered request took. */
  readonly roundTripMs: number | undefined;
  /** Why nothing can be asked any more. */
  readonly closedBy: TidegateError | undefined;
  /** A node said how many bytes a message may have: one with more would end the connection, and is refused here. */
  limit(maxBytes: number): void;
  /** Rejects what is under way and all that is asked later. */
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
      emitWithTimeout(socket, leftMs, name, message, (failure, answer) => {
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

  /** Kept here and not in Socket.IO's own buffer, since how much a node takes is known only once it has greeted us. */
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
    limit: (bytes) => void (maxBytes = bytes),
    close(reason) {
      closedBy ??= reason;
      for (const reject of open) reject(reason);
      open.clear();
      for (const begin of waiting) begin();
      waiting.clear();
    },
  };
}

type Answered = (failure: Error | null, answer: Acknowledgement<object>) => void;

/** Socket.IO's types follow one event name at a time; a request's name is only known as one of several. */
function emitWithTimeout(socket: GatewaySocket, timeoutMs: number, name: string, message: object, done: Answered) {
  const untyped = socket.timeout(timeoutMs) as unknown as { emit(name: string, message: object, done: Answered): void };
  untyped.emit(name, message, done);
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

/** Asks again, up to `retries` times, if a failure may pass. Whether a repeat is harmless is the caller's to know. */
export async function withRetries<T>(task: () => Promise<T>, retries: number, backoff: Backoff): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof TidegateError) || !isTemporary(error.code) || attempt >= retries) throw error;
      await pause(delayBefore(attempt, backoff, error.retryAfterMs)).over;
    }
  }
}
