import type { Command } from "../protocol/commands.ts";
import type { CommandFailure } from "./transport.ts";

/** The subject of a command; commands of one subject are performed in order. */
export function subjectOf(command: Command): string {
  switch (command.type) {
    case "publish":
      return `channel ${command.channel}`;
    case "order.create":
    case "order.update":
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

/** Fields that are part of a URL path over HTTP. */
const pathFields = ["orderId", "board", "member", "sessionId", "userId"] as const;

/** Why no transport can send a command; it then fails alone. */
export function validateCommand(command: Command): CommandFailure | undefined {
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

/** "." and ".." would change the path, and a lone surrogate cannot be encoded. */
function isPathSegment(value: unknown): boolean {
  return typeof value === "string" && !["", ".", ".."].includes(value) && !/\p{Surrogate}/u.test(value);
}
