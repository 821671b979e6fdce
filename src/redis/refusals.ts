import { GatewayError } from "../protocol/errors.ts";
import { isOutage, whyWritesAreRefused } from "./outage.ts";

/** Retry delay in milliseconds while Redis cannot be reached. */
const outageRetryMs = 1_000;

/** What depends on Redis cannot be done, or not be known, now. */
export const storeUnavailable = (cause?: unknown): GatewayError =>
  new GatewayError("unavailable", undefined, { retryAfterMs: outageRetryMs, cause });

/**
 * The error that a caller sees: a GatewayError as it is, an outage of Redis as `unavailable`, everything else as `internal`
 * without details. The cause remains for the log.
 */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const why = whyWritesAreRefused(error);
  if (why !== undefined) return writesRefused(why, error);
  return isOutage(error) ? storeUnavailable(error) : new GatewayError("internal", undefined, { cause: error });
}

/** The error while this node is fenced: its heartbeat is not confirmed, mostly because of Redis. */
export function refusalWhileFenced({ failure }: { readonly failure: unknown }): GatewayError {
  const why = whyWritesAreRefused(failure);
  return why === undefined ? storeUnavailable(failure) : writesRefused(why, failure);
}

/** Fails closed if Redis does not answer, or with something that cannot be read. */
export const orRefusal = <T>(reply: Promise<T>): Promise<T> => reply.catch(failClosed);

export function failClosed(error: unknown): never {
  const refusal = refusalOf(error);
  throw refusal.code === "internal" ? storeUnavailable(error) : refusal;
}

const writesRefused = (why: string, cause: unknown): GatewayError =>
  new GatewayError("writes_refused", `Redis refuses writes: ${why}.`, { retryAfterMs: outageRetryMs, cause });
