import type { Fence } from "../cluster/fence.ts";
import { refusalWhileFenced } from "../redis/refusals.ts";
import type { Clock } from "../runtime/clock.ts";
import type { LimitHttp } from "../http/rate-limit.ts";
import type { Throttling } from "../throttling/throttling.ts";
import { requireAllowed } from "../commands/refusal.ts";
import { addressGroup } from "../runtime/address-group.ts";

export interface HttpLimitDeps {
  throttling: Pick<Throttling, "http">;
  fence: Fence;
  clock: Clock;
}

/**
 * Decides whether a backend's request may be made now.
 *
 * If Redis has not responded for the duration of a lease, requests are refused at once; otherwise each would wait
 * through several timeouts, 7 s in total. The heartbeat probes Redis twice a second, so the fence acts as the circuit
 * breaker.
 */
export function createHttpLimit(
  { throttling, fence, clock }: HttpLimitDeps,
  { requests, windowSeconds }: { requests: number; windowSeconds: number },
): LimitHttp {
  const refuseWithoutStore = (): void => {
    if (!fence.isOpen) throw refusalWhileFenced(fence);
  };
  return async (apiKey) => {
    refuseWithoutStore();
    const decision = await throttling.http(apiKey);
    // If the limiter waited until it timed out, the call itself would do the same again.
    refuseWithoutStore();
    return { ...decision, limit: requests, windowSeconds, resetMs: decision.resetAt - clock.now() };
  };
}

/** Counts a session that a backend creates. Throws like `requireAllowed`. */
export type LimitSession = (userId: string, address: string | undefined) => Promise<void>;

export const createSessionLimit =
  (throttling: Pick<Throttling, "session">): LimitSession =>
  async (userId, address) => {
    const result = await throttling.session(userId, address === undefined ? undefined : addressGroup(address));
    requireAllowed("sessions", result, "Too many sessions of this user or address.");
  };
