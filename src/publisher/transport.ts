import type { Command, CommandType } from "../protocol/commands.ts";
import type { ErrorCode } from "../protocol/errors.ts";

/** What a backend may ask; the fields are those of the matching HTTP call. */
export type { Command, CommandType };

/** Why something was not done: the gateway's own codes, and three of this library. */
export type FailureCode =
  | ErrorCode
  /** No answer came, after all tries: it may have been done or not. A repeat with the same key finds out. */
  | "unreachable"
  /** More was handed in than is kept waiting. */
  | "queue_full"
  /** Handed in after `close`. */
  | "closed";

export interface Failure {
  code: FailureCode;
  message: string;
  /** The field that was wrong. */
  field?: string | undefined;
  /** Milliseconds after which to try again, where the gateway said so. */
  retryAfterMs?: number | undefined;
}

/** What became of one command. */
export type Outcome = { ok: true; answer: unknown } | { ok: false; failure: Failure; mayPass: boolean };

/** A way to the gateway. `Answers` says what each command is answered on it. */
export interface Transport<Answers extends Record<CommandType, object>> {
  /** Whether a command without an idempotency key gets one, so that trying again is harmless. */
  needsKey(command: Command): boolean;
  /** Sends some, each subject's in order. One outcome each, in order; never rejects. */
  send(commands: readonly Command[]): Promise<Outcome[]>;
  /** Only for its type. */
  readonly answers?: Answers;
}
