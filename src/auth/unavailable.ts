import { GatewayError } from "../protocol/errors.ts";

/** Fail closed when Redis does not answer: no client is admitted, and nothing is reported as revoked. */
export async function orUnavailable<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw new GatewayError("unavailable", undefined, { cause: error, retryAfterMs: 1_000 });
  }
}
