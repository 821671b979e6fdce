import type { ClosingCode } from "../protocol/closings.ts";
import type { ErrorBody, ErrorCode } from "../protocol/errors.ts";

/** Codes of the gateway's catalogues, and three of this client. */
export type TidegateErrorCode = ErrorCode | ClosingCode | "timeout" | "disconnected" | "closed";

const temporaryCodes: ReadonlySet<TidegateErrorCode> = new Set([
  "timeout",
  "disconnected",
  "rate_limited",
  "connection_limit",
  "draining",
  "unavailable",
  "writes_refused",
  "internal",
]);

/** Whether the same request may succeed later. */
export const isTemporary = (code: TidegateErrorCode): boolean => temporaryCodes.has(code);

/** The error of every failed call: refused by the gateway, timed out, or disconnected. */
export class TidegateError extends Error {
  readonly code: TidegateErrorCode;
  /** Milliseconds after which a retry may succeed, if the gateway named a delay. */
  readonly retryAfterMs: number | undefined;

  constructor(code: TidegateErrorCode, message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "TidegateError";
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  static of({ code, message, retryAfterMs }: ErrorBody): TidegateError {
    return new TidegateError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs });
  }
}
