import type { ServerResponse } from "node:http";
import type { GatewayError } from "../protocol/errors.ts";
import { LimitRefusal } from "../commands/refusal.ts";
import { wholeSeconds } from "../protocol/problems.ts";
import type { Fields } from "./problem.ts";

/** Result of the limiter for one request. */
export interface HttpAllowance {
  allowed: boolean;
  /** Requests left in the window. */
  remaining: number;
  /** Requests a window admits. */
  limit: number;
  windowSeconds: number;
  /** Milliseconds until the window has room for all of `limit` again. */
  resetMs: number;
  /** Milliseconds after which a retry may be allowed; 0 if this request was. */
  retryAfterMs: number;
}

/** Counts one request of an API key, by the key's name. */
export type LimitHttp = (apiKey: string) => Promise<HttpAllowance> | HttpAllowance;

/**
 * The fields of draft-ietf-httpapi-ratelimit-headers-10: structured, one policy, by name. The limiter counts an act until
 * its whole slot has left the window; that hundredth is not told, since a window of 60 seconds that resets in 61 is
 * none to those who read it.
 */
export function rateLimitFields({ limit, remaining, windowSeconds, resetMs }: HttpAllowance): Fields {
  const reset = Math.min(wholeSeconds(resetMs), windowSeconds);
  return {
    "RateLimit-Policy": `"http";q=${limit};w=${windowSeconds}`,
    RateLimit: `"http";r=${Math.max(Math.floor(remaining), 0)};t=${reset}`,
  };
}

/** Tells the caller what is left of the limit. Throws `rate_limited` if nothing was. */
export function applyLimit(response: ServerResponse, allowance: HttpAllowance | undefined): void {
  if (allowance === undefined) return;
  for (const [name, value] of Object.entries(rateLimitFields(allowance))) response.setHeader(name, value);
  if (!allowance.allowed) throw overLimit(allowance);
}

const overLimit = ({ retryAfterMs }: HttpAllowance): GatewayError =>
  new LimitRefusal("http", { retryAfterMs: Math.max(Math.ceil(retryAfterMs), 1) });
