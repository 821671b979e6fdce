import type { JsonSchema } from "../protocol/contract/contract-schemas.ts";
import { exampleOf } from "./example.ts";

/** A message of a channel. */
export interface MessageDescription {
  /** The event. */
  name: string;
  /** Words of the key, which must be unique. */
  words: readonly string[];
  summary: string;
  schema: JsonSchema;
  /** Whether the schema's definitions have names that no other schema uses for something else. */
  hasSharedDefinitions: boolean;
  /** An example that is not valid is left out. */
  isValid: (example: unknown) => boolean;
}

interface OperationDescription {
  /** `receive`: clients send it. */
  action: "receive" | "send";
  /** Words of the key. */
  words: readonly string[];
  summary: string;
  channel: string;
  /** Keys of messages; the acknowledgement is one of `replies`. */
  message: string;
  replies?: readonly string[];
}

interface MessageReference {
  $ref: string;
}

interface ChannelDescription {
  address: string;
  messages: Record<string, MessageReference>;
  [field: string]: unknown;
}

/** Keys have ASCII letters and digits only, because client generators make names of types of them. */
function camelCase(words: readonly string[]): string {
  const [first = "event", ...rest] = words.flatMap((word) => word.match(/[a-z\d]+/gi) ?? []);
  return [first, ...rest.map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)].join("");
}

const schemaAt = (key: string): string => `#/components/schemas/${key}`;

/** Collects channels, operations, messages and schemas, each under a key of its own. */
export class AsyncApiParts {
  readonly channels: Record<string, ChannelDescription> = {};
  readonly operations: Record<string, object> = {};
  readonly messages: Record<string, object> = {};
  readonly schemas: Record<string, JsonSchema> = {};
  /** In lower case, because names that differ only in case are too alike for names of types. */
  readonly #keys = new Set<string>();

  /** Returns its key. */
  addChannel(words: readonly string[], channel: Omit<ChannelDescription, "messages"> & { address: string }): string {
    const key = this.#newKey(words, this.channels);
    this.channels[key] = { ...channel, messages: {} };
    return key;
  }

  /** Returns its key. */
  addMessage(channel: string, message: MessageDescription): string {
    const { words, name, summary } = message;
    const key = this.#newKey(words);
    this.#addSchema(key, message);
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
    return key;
  }

  addOperation({ action, words, summary, channel, message, replies = [] }: OperationDescription): void {
    const at = { $ref: `#/channels/${channel}` };
    const reference = (key: string): MessageReference => ({ $ref: `#/channels/${channel}/messages/${key}` });
    this.operations[this.#newKey(words, this.operations)] = {
      action,
      channel: at,
      summary,
      messages: [reference(message)],
      ...(replies.length > 0 && { reply: { channel: at, messages: replies.map(reference) } }),
    };
  }

  /** Without `taken`, a key that no message and no schema has. */
  #newKey(words: readonly string[], taken?: object): string {
    const key = camelCase(words);
    const isTaken = (name: string): boolean =>
      taken === undefined ? this.#keys.has(name.toLowerCase()) : Object.hasOwn(taken, name);
    let free = key;
    for (let count = 2; isTaken(free); count += 1) free = `${key}${count}`;
    if (taken === undefined) this.#keys.add(free.toLowerCase());
    return free;
  }

  /** Definitions of a schema become components, because references start at the root of the document. */
  #addSchema(key: string, { schema, hasSharedDefinitions }: MessageDescription): void {
    const { definitions, $defs, ...rest } = schema;
    const parts = Object.entries<unknown>({ ...Object(definitions), ...Object($defs) });
    const keys = new Map(
      parts.map(([name]) => [name, hasSharedDefinitions ? name : this.#newKey([key, name])] as const),
    );
    const resolve = (part: unknown): JsonSchema =>
      JSON.parse(JSON.stringify(part), (name, value: unknown) =>
        name === "$ref" ? resolved(String(value), key, keys) : value,
      ) as JsonSchema;
    for (const [name, part] of parts) {
      const at = keys.get(name) ?? name;
      this.#keys.add(at.toLowerCase());
      this.schemas[at] = resolve(part);
    }
    this.schemas[key] = resolve(rest);
  }
}

function resolved(ref: string, key: string, keys: ReadonlyMap<string, string>): string {
  if (ref === "#") return schemaAt(key);
  const [, name = ""] = /^#\/(?:definitions|\$defs)\/(.*)$/.exec(ref) ?? [];
  const definition = keys.get(name);
  return definition === undefined ? ref : schemaAt(definition);
}
