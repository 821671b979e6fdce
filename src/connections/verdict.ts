/** A limiter's word on one act; every `Decision` of the throttling room is one. */
export interface Verdict {
  readonly allowed: boolean;
  /** Infinity where a repeat is of no use. */
  readonly retryAfterMs: number;
  /** Which limit it is, where that is not plain from the act. */
  readonly limiter?: string;
}
