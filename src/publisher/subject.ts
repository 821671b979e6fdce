import type { Command } from "../protocol/commands.ts";
import type { Failure } from "./transport.ts";

/** What a command is about: commands about the same thing are performed in the order in which they were handed in. */
export function subjectOf(command: Command): string {
  switch (command.type) {
    case "publish":
      return `channel ${command.channel}`;
    case "order.create":
    case "order.event":
    case "order.signal":
      return `order ${command.orderId}`;
    case "score.submit":
      return `score ${JSON.stringify([command.board, command.member])}`;
    case "session.revoke":
      return `session ${command.sessionId}`;
    case "user.disconnect":
      return `user ${command.userId}`;
  }
}

/** Fields that become part of a path over HTTP. */
const pathFields = ["orderId", "board", "member", "sessionId", "userId"] as const;

/** Why a command cannot be sent by any transport, so that it fails by itself and keeps no other. */
export function badCommand(command: Command): Failure | undefined {
  try {
    JSON.stringify(command);
  } catch (error) {
    const message = `The command cannot be sent as JSON: ${error instanceof Error ? error.message : String(error)}`;
    return { code: "bad_request", message, field: "data" in command ? "data" : undefined };
  }
  const fields = Object(command) as Record<string, unknown>;
  if (subjectOf(command) === undefined) return { code: "bad_request", message: "type: is unknown", field: "type" };
  const field = pathFields.find((name) => name in fields && !isPathSegment(fields[name]));
  return field === undefined ? undefined : { code: "bad_request", message: `${field}: is not a valid name`, field };
}

/** "." and ".." would name another path, and half of a surrogate pair cannot be written into one. */
function isPathSegment(value: unknown): boolean {
  return typeof value === "string" && !["", ".", ".."].includes(value) && !/\p{Surrogate}/u.test(value);
}
