import type { Fence } from "../cluster/fence.ts";
import { refusalWhileFenced } from "../commands/refusal.ts";
import type { Clock } from "../runtime/clock.ts";
import type { LimitHttp } from "../http/rate-limit.ts";
import type { Throttling } from "../throttling/throttling.ts";

export interface HttpLimitDeps {
  throttling: Pick<Throttling, "http">;
  fence: Fence;
  clock: Clock;
}

const retryAfterMs = 1_000;

/**
 * Whether a backend's request may be made now.
 *
 * Where the store has not answered for as long as a lease lasts, requests are refused at once: each would wait through
 * several time-outs, 7 s in all, and hold its place until then. The heartbeat asks twice a second and so finds out when
 * it is back. This is a circuit breaker whose probe there is anyway; one of its own would be a second opinion on
 * whether the store is away.
 */
export function createHttpLimit(
  { throttling, fence, clock }: HttpLimitDeps,
  { requests, windowSeconds }: { requests: number; windowSeconds: number },
): LimitHttp {
  const refuseWithoutStore = (): void => {
    if (!fence.isOpen) throw refusalWhileFenced(fence, retryAfterMs);
  };
  return async (apiKey) => {
    refuseWithoutStore();
    const decision = await throttling.http(apiKey);
    // Where the limit itself waited until it gave up, the call would do the same once more.
    refuseWithoutStore();
    return { ...decision, limit: requests, windowSeconds, resetMs: decision.resetAt - clock.now() };
  };
}
