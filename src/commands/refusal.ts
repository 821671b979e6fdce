import { GatewayError } from "../protocol/errors.ts";
import type { Fence } from "../cluster/fence.ts";
import { isOutage, whyWritesAreRefused } from "../redis/outage.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Reason, ReasonLog } from "../runtime/reason-log.ts";

/** Milliseconds after which to try again while the store is away. */
const outageRetryMs = 1_000;

/**
 * What a stranger is told of anything that was thrown: refusals as they are, the store's absence as `unavailable`, all
 * else as `internal` without a word of it. The cause stays for the log.
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

/** What is told while this node may not act: its heartbeat is not confirmed, for a reason that is mostly the store's. */
export function refusalWhileFenced({ failure }: Pick<Fence, "failure">, retryAfterMs: number): GatewayError {
  const why = whyWritesAreRefused(failure);
  return why === undefined ? new GatewayError("unavailable", undefined, { retryAfterMs }) : writesRefused(why, failure);
}

/** `rate_limited`, by name of the limit that was met: metrics tell them apart. */
export class LimitRefusal extends GatewayError {
  readonly limiter: string;

  constructor(limiter: string, { retryAfterMs }: { readonly retryAfterMs: number }, message?: string) {
    // Nobody reads where a limit refused, and to find that out costs more than all the rest of a refusal.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super("rate_limited", message, Number.isFinite(retryAfterMs) ? { retryAfterMs } : {});
    Error.stackTraceLimit = stackTraceLimit;
    this.limiter = limiter;
  }
}

/** Empty where no limit refused. */
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
  reasons.record({ ...context, code, rule, detail, userId, sessionId });
}
