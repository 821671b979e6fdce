import { GatewayError } from "../../protocol/errors.ts";

/** A limiter's word on one act; every `Decision` of the throttling room is one. */
export interface Verdict {
  readonly allowed: boolean;
  /** Infinity where a repeat is of no use. */
  readonly retryAfterMs: number;
}

export function rateLimited({ retryAfterMs }: Verdict): GatewayError {
  return new GatewayError("rate_limited", undefined, Number.isFinite(retryAfterMs) ? { retryAfterMs } : {});
}
