import { GatewayError } from "../protocol/errors.ts";
import type { Fence } from "../cluster/fence.ts";
import { isOutage, whyWritesAreRefused } from "../redis/outage.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Reason, ReasonLog } from "../runtime/reason-log.ts";

/** Retry delay in milliseconds while Redis cannot be reached. */
const outageRetryMs = 1_000;

/**
 * The error that a caller sees: a GatewayError as it is, an outage of Redis as `unavailable`, everything else as `internal`
 * without details. The cause remains for the log.
 */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const why = whyWritesAreRefused(error);
  if (why !== undefined) return writesRefused(why, error);
  if (isOutage(error)) return new GatewayError("unavailable", undefined, { retryAfterMs: outageRetryMs, cause: error });
  return new GatewayError("internal", undefined, { cause: error });
}

const writesRefused = (why: string, cause: unknown): GatewayError =>
  new GatewayError("writes_refused", `Redis refuses writes: ${why}.`, { retryAfterMs: outageRetryMs, cause });

/** The error while this node is fenced: its heartbeat is not confirmed, mostly because of Redis. */
export function refusalWhileFenced({ failure }: Pick<Fence, "failure">, retryAfterMs: number): GatewayError {
  const why = whyWritesAreRefused(failure);
  return why === undefined ? new GatewayError("unavailable", undefined, { retryAfterMs }) : writesRefused(why, failure);
}

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
