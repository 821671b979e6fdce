import { LimitRefusal } from "../commands/refusal.ts";
import { GatewayError } from "../protocol/errors.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { RateLimitResult } from "../throttling/rate-limit-result.ts";
import type { Throttling } from "../throttling/throttling.ts";

const outageRetryMs = 1_000;

/** Throws `rate_limited` if a limit of logins refused, `unavailable` if nothing can be counted. */
export function requireAllowed(limiter: "logins" | "sessions", result: RateLimitResult, message: string): void {
  if (result.allowed) return;
  if (result.reason === "store_away") throw new GatewayError("unavailable", undefined, { retryAfterMs: outageRetryMs });
  throw new LimitRefusal(limiter, result, message);
}

/** Counts a session that a backend creates. Throws like `requireAllowed`. */
export type LimitSession = (userId: string, address: string | undefined) => Promise<void>;

export const createSessionLimit =
  (throttling: Pick<Throttling, "session">): LimitSession =>
  async (userId, address) => {
    const result = await throttling.session(userId, address === undefined ? undefined : addressGroup(address));
    requireAllowed("sessions", result, "Too many sessions of this user or address.");
  };
