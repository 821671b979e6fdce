import type { CommandType } from "../protocol/commands.ts";
import { GatewayError, isTemporary, type ErrorCode } from "../protocol/errors.ts";
import { isOutage } from "../redis/outage.ts";
import { refusalOf } from "../redis/refusals.ts";

/** Why a command was not performed, and whether another attempt may succeed. */
export interface JobFailure {
  /**
   * `refused`: permanent; `trouble`: may succeed later; `away`: Redis cannot be reached, which does not count as an
   * attempt.
   */
  kind: "refused" | "trouble" | "away";
  code: ErrorCode;
  reason: string;
}

/** `type` is undefined if the entry is not a valid command, which is permanent. */
export function toFailure(type: CommandType | undefined, error: unknown): JobFailure {
  const cause = error instanceof GatewayError ? error.cause : error;
  if (isOutage(cause)) {
    const { code, message } = refusalOf(cause);
    return { kind: "away", code, reason: message };
  }
  if (!(error instanceof GatewayError)) return { kind: "trouble", code: "internal", reason: String(error) };
  const isTrouble = type !== undefined && (isTemporary(error.code) || isEarly(type, error.code));
  return { kind: isTrouble ? "trouble" : "refused", code: error.code, reason: error.message };
}

/** An order that does not exist yet may be created soon, over another interface. */
const isEarly = (type: CommandType, code: ErrorCode): boolean =>
  code === "not_found" && (type === "order.update" || type === "order.event" || type === "order.signal");
