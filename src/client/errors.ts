import type { ClosingCode } from "../protocol/closings.ts";
import { isTemporary as isTemporaryError, type ErrorCode } from "../protocol/errors.ts";

/** Codes of the gateway's catalogues, and three of this client. */
export type TidegateErrorCode = ErrorCode | ClosingCode | "timeout" | "disconnected" | "closed";

/** Temporary for this client, which retries, although not in the catalogue of errors. */
const ownTemporaryCodes: readonly TidegateErrorCode[] = ["timeout", "disconnected", "connection_limit"];

/** Whether the same request may succeed later. */
export const isTemporary = (code: TidegateErrorCode): boolean =>
  ownTemporaryCodes.includes(code) || isTemporaryError(code);

/** Whether a call failed and would fail again; not if the client cannot know. */
export const isPermanent = (error: unknown): error is TidegateError =>
  error instanceof TidegateError && !isTemporary(error.code);

/** The error of every failed call: refused by the gateway, timed out, or disconnected. */
export class TidegateError extends Error {
  readonly code: TidegateErrorCode;
  /** Milliseconds after which a retry may succeed, if the gateway named a delay. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: TidegateErrorCode,
    message: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options);
    this.name = "TidegateError";
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

export const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
