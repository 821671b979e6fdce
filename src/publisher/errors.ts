import type { Command, CommandFailure, FailureCode } from "./transport.ts";

/** A command that failed, or whose outcome is unknown. */
export class PublisherError extends Error {
  readonly code: FailureCode;
  /** The invalid field. */
  readonly field: string | undefined;
  /** Milliseconds after which to retry, if the gateway named a delay. */
  readonly retryAfterMs: number | undefined;
  /** The command with its idempotency key, so that it can be retried safely. */
  readonly command: Command;
  readonly attempts: number;

  constructor({ code, message, field, retryAfterMs }: CommandFailure, command: Command, attempts: number) {
    super(message);
    this.name = "PublisherError";
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.command = command;
    this.attempts = attempts;
  }
}
