import { GatewayError } from "../protocol/errors.ts";
import { storeUnavailable } from "../redis/refusals.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Reason, ReasonLog } from "../runtime/reason-log.ts";

// The doors do not know Redis.
export { refusalOf } from "../redis/refusals.ts";

/** `rate_limited`, with the name of the limit for metrics. */
export class LimitRefusal extends GatewayError {
  readonly limiter: string;

  constructor(limiter: string, { retryAfterMs }: { readonly retryAfterMs: number }, message?: string) {
    // The stack trace is never read, and costs more than everything else of a refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super("rate_limited", message, Number.isFinite(retryAfterMs) ? { retryAfterMs } : {});
    Error.stackTraceLimit = stackTraceLimit;
    this.limiter = limiter;
  }
}

/** Throws `rate_limited` if a limit refused, `unavailable` if nothing can be counted without Redis. */
export function requireAllowed(
  limiter: string,
  result: { readonly allowed: boolean; readonly reason?: string | undefined; readonly retryAfterMs: number },
  message?: string,
): void {
  if (result.allowed) return;
  throw result.reason === "store_away" ? storeUnavailable() : new LimitRefusal(limiter, result, message);
}

/** Empty unless a limit refused. */
export const limiterOf = (refusal: GatewayError): string => (refusal instanceof LimitRefusal ? refusal.limiter : "");

/** A field's name may come from a client. */
const plainField = /^[\w.[\]]{1,64}$/;

export interface RefusalDeps {
  metrics: Pick<Metrics, "refusals">;
  /** Omit to count refusals only. */
  reasons?: Pick<ReasonLog, "record"> | undefined;
}

/** Counts a refusal, and records it with its reason and what is known of the client for operators. */
export function recordRefusal(
  { metrics, reasons }: RefusalDeps,
  refusal: GatewayError,
  context: Omit<Reason, "code" | "rule" | "detail">,
): void {
  const { code, reason, field, message } = refusal;
  const limiter = limiterOf(refusal);
  metrics.refusals.inc(reason === undefined ? { code, limiter } : { code, limiter, rule: reason.rule });
  if (reasons === undefined) return;
  const rule = reason?.rule ?? (limiter === "" ? undefined : `limit ${limiter}`);
  const detail = reason?.detail ?? (field !== undefined && plainField.test(field) ? message : undefined);
  const { userId = reason?.userId, sessionId = reason?.sessionId } = context;
  reasons.record({ ...context, code: refusal.toClientBody().code, rule, detail, userId, sessionId });
}
