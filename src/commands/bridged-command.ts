import { command, type Command, type CommandType } from "../protocol/commands.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import { toText } from "./template.ts";

/** Fields that contain names; backends may send numbers instead. */
const names = new Set(["orderId", "eventId", "channel", "board", "member", "userId", "sessionId", "idempotencyKey"]);

/**
 * The command of a pub/sub message: fields with the same name are the command's. Other fields become its `data` if the
 * message has none, and are ignored otherwise. Throws `bad_request` naming the field.
 */
export function toCommand(type: CommandType, message: unknown): Command {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    throw wrong("message", "is not an object");
  const known = fieldsOf(type);
  const fields = Object.entries(message).filter(([name]) => name !== "id" && name !== "type");
  const rest = fields.filter(([name]) => !known.has(name));
  const own = fields.filter(([name]) => known.has(name)).map(([name, value]) => [name, named(name, value)] as const);
  const data = known.has("data") && rest.length > 0 ? { data: Object.fromEntries(rest) } : {};
  return parseWith(command, { ...data, ...Object.fromEntries(own), type });
}

const named = (name: string, value: unknown): unknown => (names.has(name) ? (toText(value) ?? value) : value);

function fieldsOf(type: CommandType): ReadonlySet<string> {
  const schema = command.options.find((option) => option.shape.type.value === type);
  return new Set(Object.keys(schema?.shape ?? {}));
}
