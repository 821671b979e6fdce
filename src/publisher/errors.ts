import type { Command, CommandFailure, FailureCode } from "./transport.ts";

/** What failed. */
export interface FailedCall {
  operation: string;
  command?: Command;
  attempts: number;
}

/** A command or call that failed, or whose outcome is unknown. */
export class PublisherError extends Error {
  readonly code: FailureCode;
  /** The invalid field. */
  readonly field: string | undefined;
  /** Milliseconds after which to retry, if the gateway named a delay. */
  readonly retryAfterMs: number | undefined;
  /** The command's type, or the name of the call. */
  readonly operation: string;
  /** The command with its idempotency key, so that it can be retried safely; undefined for other calls. */
  readonly command: Command | undefined;
  readonly attempts: number;

  constructor({ code, message, field, retryAfterMs }: CommandFailure, { operation, command, attempts }: FailedCall) {
    super(message);
    this.name = "PublisherError";
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.operation = operation;
    this.command = command;
    this.attempts = attempts;
  }
}
