import type { Command, CommandType } from "../protocol/commands.ts";
import type { ErrorCode } from "../protocol/errors.ts";

/** A command of a backend; its fields are those of the HTTP call. */
export type { Command, CommandType };

/** Error codes: those of the gateway, and three of this library. */
export type FailureCode =
  | ErrorCode
  /** No response after all attempts: it may have taken effect or not. A retry with the same key shows which. */
  | "unreachable"
  /** The queue is full. */
  | "queue_full"
  /** Called after `close`. */
  | "closed";

export interface CommandFailure {
  code: FailureCode;
  message: string;
  /** The invalid field. */
  field?: string | undefined;
  /** Milliseconds after which to retry, if the gateway named a delay. */
  retryAfterMs?: number | undefined;
}

/** The result of one command. */
export type CommandResult =
  | { ok: true; answer: unknown }
  /** `isUnsent`: it waits for an earlier command of its subject, which is no attempt. */
  | { ok: false; failure: CommandFailure; isTemporary: boolean; isUnsent?: true };

/** A transport to the gateway. `Answers` maps each command to its result. */
export interface Transport<Answers extends Record<CommandType, object>> {
  /** Whether a command without an idempotency key gets one, so that it can be retried safely. */
  needsKey(command: Command): boolean;
  /** Sends commands, those of each subject in order. Returns one result each, in order; never rejects. */
  send(commands: readonly Command[]): Promise<CommandResult[]>;
  /** Only for its type. */
  readonly answers?: Answers;
}
