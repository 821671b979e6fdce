import { GatewayError } from "../protocol/errors.ts";

/** Nobody is let in, and nothing is called revoked, on the word of a store that did not answer. */
export async function orUnavailable<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (error) {
    throw new GatewayError("unavailable", undefined, { cause: error, retryAfterMs: 1_000 });
  }
}
