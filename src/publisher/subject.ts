import { subjectOfCommand } from "../protocol/command-subject.ts";
import type { Command } from "../protocol/commands.ts";
import type { CommandFailure } from "./transport.ts";

/** Fields that are part of a URL path over HTTP. */
const pathFields = ["orderId", "board", "member", "sessionId", "userId"] as const;

export type EncodedCommand = { command: Command; problem?: never } | { command?: never; problem: CommandFailure };

/**
 * The command as it will be sent: later changes to its data have no effect, and what cannot be encoded fails here, alone.
 */
export function encodeCommand(command: Command): EncodedCommand {
  try {
    const encoded = JSON.parse(JSON.stringify(command)) as Command;
    const problem = commandProblem(encoded);
    return problem === undefined ? { command: encoded } : { problem };
  } catch (error) {
    const message = `The command cannot be sent as JSON: ${error instanceof Error ? error.message : String(error)}`;
    return { problem: { code: "bad_request", message, field: "data" in Object(command) ? "data" : undefined } };
  }
}

function commandProblem(command: Command): CommandFailure | undefined {
  if (subjectOfCommand(command) === undefined) return withoutSubject(command);
  const fields = new Map<string, unknown>(Object.entries(command));
  const present = pathFields.filter((name) => fields.has(name));
  return present.map((name) => pathSegmentProblem(name, fields.get(name))).find((problem) => problem !== undefined);
}

const withoutSubject = ({ type }: Command): CommandFailure =>
  type === "publish"
    ? { code: "bad_request", message: "channel: is required", field: "channel" }
    : { code: "bad_request", message: "type: is unknown", field: "type" };

/** "." and ".." would change the path, and a lone surrogate cannot be encoded. */
export function pathSegmentProblem(field: string, value: unknown): CommandFailure | undefined {
  const isValid = typeof value === "string" && !["", ".", ".."].includes(value) && !/\p{Surrogate}/u.test(value);
  return isValid ? undefined : { code: "bad_request", message: `${field}: is not a valid name`, field };
}
