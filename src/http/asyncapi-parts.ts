import type { JsonSchema } from "../protocol/contract-schemas.ts";
import { exampleOf } from "./example.ts";

/** A message of a channel. */
export interface MessageDescription {
  /** Key among the components, made by `keyOf`. */
  key: string;
  /** The event. */
  name: string;
  summary: string;
  schema: JsonSchema;
  /** Whether the schema's definitions have names that no other schema uses for something else. */
  hasSharedDefinitions: boolean;
  /** An example that is not valid is left out. */
  isValid: (example: unknown) => boolean;
}

interface MessageReference {
  $ref: string;
}

interface ChannelDescription {
  address: string;
  messages: Record<string, MessageReference>;
  [field: string]: unknown;
}

/** Keys of AsyncAPI's components have letters, digits and a few signs. */
export const keyOf = (...names: string[]): string => names.map((name) => name.replaceAll(/[^\w.]+/g, "-")).join("-");

const schemaAt = (key: string): string => `#/components/schemas/${key}`;

/** Collects channels, operations, messages and schemas, each under a key of its own. */
export class AsyncApiParts {
  readonly channels: Record<string, ChannelDescription> = {};
  readonly operations: Record<string, object> = {};
  readonly messages: Record<string, object> = {};
  readonly schemas: Record<string, JsonSchema> = {};

  addChannel(key: string, channel: Omit<ChannelDescription, "messages"> & { address: string }): void {
    this.channels[key] = { ...channel, messages: {} };
  }

  addMessage(channel: string, message: MessageDescription): void {
    const { key, name, summary } = message;
    this.#addSchema(message);
    const example = exampleOf({ $ref: schemaAt(key) }, (ref) => this.schemas[ref.slice(schemaAt("").length)]);
    this.messages[key] = {
      name,
      title: name,
      summary,
      payload: { $ref: schemaAt(key) },
      ...(message.isValid(example) && { examples: [{ name: "example", payload: example }] }),
    };
    const { messages } = this.channels[channel] as ChannelDescription;
    messages[key] = { $ref: `#/components/messages/${key}` };
  }

  /** `receive`: clients send it. `replies` are keys of the messages of which the acknowledgement is one. */
  addOperation(
    action: "receive" | "send",
    channel: string,
    { key, summary }: MessageDescription,
    ...replies: string[]
  ): void {
    const at = { $ref: `#/channels/${channel}` };
    const message = (name: string): MessageReference => ({ $ref: `#/channels/${channel}/messages/${name}` });
    this.operations[key] = {
      action,
      channel: at,
      summary,
      messages: [message(key)],
      ...(replies.length > 0 && { reply: { channel: at, messages: replies.map(message) } }),
    };
  }

  /** Definitions of a schema become components, because references start at the root of the document. */
  #addSchema({ key, schema, hasSharedDefinitions }: MessageDescription): void {
    const { definitions, $defs, ...rest } = schema;
    const nameOf = (name: string): string => (hasSharedDefinitions ? name : keyOf(key, name));
    const resolve = (part: unknown): JsonSchema =>
      JSON.parse(JSON.stringify(part), (name, value: unknown) =>
        name === "$ref" ? resolved(String(value), key, nameOf) : value,
      ) as JsonSchema;
    for (const [name, part] of Object.entries({ ...Object(definitions), ...Object($defs) }))
      this.schemas[nameOf(name)] = resolve(part);
    this.schemas[key] = resolve(rest);
  }
}

function resolved(ref: string, key: string, nameOf: (name: string) => string): string {
  if (ref === "#") return schemaAt(key);
  const [, name] = /^#\/(?:definitions|\$defs)\/(.*)$/.exec(ref) ?? [];
  return name === undefined ? ref : schemaAt(nameOf(name));
}
