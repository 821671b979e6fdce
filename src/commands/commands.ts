import { command, type Command } from "../protocol/commands.ts";
import { parseJson, type GateLimits } from "../protocol/gate.ts";
import { parseWith } from "../protocol/parse-with.ts";

/** Parses a command's text. Throws `bad_request` naming the field, or `payload_too_large`. */
export function parseCommand(text: string, limits?: Partial<GateLimits>): Command {
  return parseWith(command, parseJson(text, limits));
}
