import { command, type Command } from "../protocol/commands.ts";
import { parseJson, type GateLimits } from "../protocol/gate.ts";
import { parseWith } from "../protocol/parse-with.ts";

/** Parses a command's text. Throws `bad_request` naming the field, or `payload_too_large`. */
export function parseCommand(text: string, limits?: Partial<GateLimits>): Command {
  return parseWith(command, parseJson(text, limits));
}

/** What a command is about. Commands of one subject take effect in the order in which they came. */
export function subjectOfCommand(about: Command): string {
  switch (about.type) {
    case "publish":
      return about.channel;
    case "order.create":
    case "order.update":
    case "order.event":
    case "order.signal":
      return `order:${about.orderId}`;
    case "score.submit":
      return JSON.stringify(["score", about.board, about.member]);
    case "session.update":
    case "session.revoke":
      return JSON.stringify(["session", about.sessionId]);
    case "user.disconnect":
      return JSON.stringify(["user", about.userId]);
  }
}
