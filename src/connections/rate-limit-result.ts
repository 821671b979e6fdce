/** Result of a limiter for one action; each `Decision` of `throttling` is one. */
export interface RateLimitResult {
  readonly allowed: boolean;
  /** Infinity if a retry cannot succeed. */
  readonly retryAfterMs: number;
  /** Name of the limit, if the action does not imply it. */
  readonly limiter?: string;
}
