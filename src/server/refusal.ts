import { GatewayError } from "../protocol/errors.ts";
import { isOutage } from "../redis/outage.ts";

/** Milliseconds after which to try again while the store is away. */
const outageRetryMs = 1_000;

/**
 * What a stranger is told of anything that was thrown: refusals as they are, the store's absence as `unavailable`, all
 * else as `internal` without a word of it. The cause stays for the log.
 */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (isOutage(error)) return new GatewayError("unavailable", undefined, { retryAfterMs: outageRetryMs, cause: error });
  return new GatewayError("internal", undefined, { cause: error });
}
