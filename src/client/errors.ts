import type { Closing } from "../protocol/closings.ts";
import { temporaryCodes, type ErrorCode } from "../protocol/errors.ts";

/** Codes of the gateway's catalogues, and three of this client. */
export type TidegateErrorCode = ErrorCode | Closing["code"] | "timeout" | "disconnected" | "closed";

/** Whether the same request may succeed later: also after errors of this client, and when another connection has ended. */
export const isTemporary = (code: string): boolean =>
  [...temporaryCodes, "disconnected", "connection_limit"].includes(code);

/** Whether a call failed and would fail again; not if the client cannot know. */
export const isPermanent = (error: unknown): error is TidegateError =>
  error instanceof TidegateError && !isTemporary(error.code);

/** The error of every failed call: refused by the gateway, timed out, or disconnected. */
export class TidegateError extends Error {
  declare readonly code: TidegateErrorCode;
  /** Milliseconds after which a retry may succeed, if the gateway named a delay. */
  declare readonly retryAfterMs: number | undefined;

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
