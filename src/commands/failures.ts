import type { CommandType } from "../protocol/commands.ts";
import { GatewayError, isTemporary, type ErrorCode } from "../protocol/errors.ts";
import { isOutage, whyWritesAreRefused } from "../redis/outage.ts";

/** Why a command was not performed, and what that means for trying again. */
export interface Failure {
  /**
   * `refused`: will not succeed as it stands; `trouble`: may succeed later, so many tries are given to it; `away`: the
   * store cannot be reached, which is no fault of the command and costs it no try.
   */
  kind: "refused" | "trouble" | "away";
  code: ErrorCode;
  reason: string;
}

/** `type` is undefined where the entry was no command: nothing can mend that. */
export function toFailure(type: CommandType | undefined, error: unknown): Failure {
  const cause = error instanceof GatewayError ? error.cause : error;
  if (isOutage(cause)) {
    const why = whyWritesAreRefused(cause);
    if (why !== undefined) return { kind: "away", code: "writes_refused", reason: `Redis refuses writes: ${why}.` };
    return { kind: "away", code: "unavailable", reason: "Redis cannot be reached." };
  }
  if (!(error instanceof GatewayError)) return { kind: "trouble", code: "internal", reason: String(error) };
  const isTrouble = type !== undefined && (isTemporary(error.code) || isEarly(type, error.code));
  return { kind: isTrouble ? "trouble" : "refused", code: error.code, reason: error.message };
}

/** An order that is not there yet may be on its way through another door. */
const isEarly = (type: CommandType, code: ErrorCode): boolean =>
  code === "not_found" && (type === "order.update" || type === "order.event" || type === "order.signal");
