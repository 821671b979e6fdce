import type { Command, Failure, FailureCode } from "./transport.ts";

/** A command that was not done, or of which nobody knows. */
export class PublisherError extends Error {
  readonly code: FailureCode;
  /** The field that was wrong. */
  readonly field: string | undefined;
  /** Milliseconds after which to try again, where the gateway said so. */
  readonly retryAfterMs: number | undefined;
  /** As it was sent, with its idempotency key: sending it again is harmless. */
  readonly command: Command;
  readonly tries: number;

  constructor({ code, message, field, retryAfterMs }: Failure, command: Command, tries: number) {
    super(message);
    this.name = "PublisherError";
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.command = command;
    this.tries = tries;
  }
}
