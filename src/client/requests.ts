import type { Acknowledgement, AnswerOf, RequestName, RequestOf } from "../protocol/wire.ts";
import { type BackoffOptions, retryDelay } from "./backoff.ts";
import type { InternalClient } from "./base-client.ts";
import { deferred } from "./deferred.ts";
import { isPermanent, TidegateError, type TidegateErrorCode } from "./errors.ts";
import { messageBytes } from "./message-bytes.ts";

/** Sends a request to the gateway. Waits for a connection, if there is none, within the timeout. */
type SendRequest = <Name extends RequestName>(name: Name, message: RequestOf<Name>) => Promise<AnswerOf<Name>>;

/** Socket.IO's types need a single event name; a request's name is a union. */
interface UntypedEmit {
  emit(name: string, message: object, done: (failure: Error | null, answer: Acknowledgement<object>) => void): void;
}

/** Returns the function that sends requests; the client's end rejects those in progress. */
export function createRequests(client: InternalClient, timeoutMs: number): SendRequest {
  const { socket } = client;

  return async (name, message) => {
    if (client._closedBy) throw client._closedBy;
    const bytes = messageBytes(name, message);
    const { _promise, _resolve, _reject } = deferred<Acknowledgement<object>>();
    const fail = (code: TidegateErrorCode, text: string, cause?: Error): void =>
      _reject(new TidegateError(code, text, { cause }));
    const send = (): void => {
      if (bytes > client._maxBytes)
        return fail("payload_too_large", `The message has ${bytes} bytes, max ${client._maxBytes}.`);
      const begun = performance.now();
      // Its own timeout is later; with one it reports a lost connection.
      (socket.timeout(2 * timeoutMs) as UntypedEmit).emit(name, message, (failure, answer) => {
        if (failure) return fail("disconnected", `The connection was lost: ${name} was not answered.`, failure);
        client.roundTripMs = performance.now() - begun;
        _resolve(answer);
      });
    };
    const timer = setTimeout(() => fail("timeout", `${name} timed out.`), timeoutMs);
    const off = client.on("closed", _reject);
    // Waits here instead of in Socket.IO's buffer, because the node's max message size is known only when connected.
    if (socket.connected) send();
    else socket.once("connect", send);
    try {
      const { ok: _ok, error, ...fields }: Acknowledgement<{ error?: undefined }> = await _promise;
      if (error) throw new TidegateError(error.code, error.message, error);
      return fields as AnswerOf<typeof name>;
    } finally {
      clearTimeout(timer);
      off();
      socket.off("connect", send);
    }
  };
}

/** Retries temporary failures up to `retries` times. The caller ensures that retrying is safe. */
export async function withRetries<T>(
  task: () => Promise<T>,
  retries: number,
  backoff: BackoffOptions | undefined,
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await task();
    } catch (error) {
      if (isPermanent(error) || attempt >= retries) throw error;
      await retryDelay(attempt, backoff, error)[0];
    }
  }
}
