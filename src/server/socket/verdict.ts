import { GatewayError } from "../../protocol/errors.ts";

/** A limiter's word on one act; every `Decision` of the throttling room is one. */
export interface Verdict {
  readonly allowed: boolean;
  /** Infinity where a repeat is of no use. */
  readonly retryAfterMs: number;
}

/** `rate_limited`, by name of the limit that was met: metrics tell them apart. */
export class LimitRefusal extends GatewayError {
  readonly limiter: string;

  constructor(limiter: string, { retryAfterMs }: Pick<Verdict, "retryAfterMs">, message?: string) {
    super("rate_limited", message, Number.isFinite(retryAfterMs) ? { retryAfterMs } : {});
    this.limiter = limiter;
  }
}

/** Empty where no limit refused. */
export const limiterOf = (refusal: GatewayError): string => (refusal instanceof LimitRefusal ? refusal.limiter : "");
