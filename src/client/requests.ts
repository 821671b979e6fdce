import type { Acknowledgement, AnswerOf, RequestName, RequestOf } from "../protocol/wire.ts";
import { type Backoff, delayBefore, pause } from "./backoff.ts";
import { isTemporary, TidegateError } from "./errors.ts";
import type { GatewaySocket } from "./socket.ts";

/** Asks the gateway. Waits for a connection where there is none, for as long as the time-out allows. */
export type Request = <Name extends RequestName>(name: Name, message: RequestOf<Name>) => Promise<AnswerOf<Name>>;

export interface Requests {
  request: Request;
  /** Milliseconds the last answered request took. */
  readonly roundTripMs: number | undefined;
  /** Why nothing can be asked any more. */
  readonly closedBy: TidegateError | undefined;
  /** Rejects what is under way and all that is asked later. */
  close(reason: TidegateError): void;
}

export function createRequests(socket: GatewaySocket, timeoutMs: number): Requests {
  const open = new Set<(reason: TidegateError) => void>();
  let closedBy: TidegateError | undefined;
  let roundTripMs: number | undefined;

  function send(name: RequestName, message: object): Promise<Acknowledgement<object>> {
    const { promise, resolve, reject } = Promise.withResolvers<Acknowledgement<object>>();
    const begun = performance.now();
    open.add(reject);
    emitWithTimeout(socket, timeoutMs, name, message, (failure, answer) => {
      open.delete(reject);
      if (failure !== null) return reject(unanswered(name, failure));
      roundTripMs = performance.now() - begun;
      resolve(answer);
    });
    return promise;
  }

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
    close(reason) {
      closedBy ??= reason;
      for (const reject of open) reject(reason);
      open.clear();
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
    ? new TidegateError("timeout", `No answer to ${name} in time.`, { cause: failure })
    : new TidegateError("disconnected", `The connection was lost before ${name} was answered.`, { cause: failure });
}

/** Asks again, up to `retries` times, where a failure may pass. Whether a repeat is harmless is the caller's to know. */
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
