import { z } from "zod";
import { acknowledgementOf, clientEvents, refusedAnswer } from "../protocol/client-events.ts";
import { contractSchemas, type ContractSchemas, type JsonSchema } from "../protocol/contract-schemas.ts";
import { schemasOf, type Contract } from "../protocol/contract.ts";
import { serverEvents } from "../protocol/server-events.ts";
import type { StandardSchema } from "../protocol/standard-schema.ts";
import { AsyncApiParts, keyOf, type MessageDescription } from "./asyncapi-parts.ts";

/** AsyncAPI 3.0 of the Socket.IO side: events of clients, events of the gateway, and those of the contract. */
export function describeEvents(contract: Contract | undefined, version: string): object {
  const parts = new AsyncApiParts();
  addBuiltIn(parts);
  if (contract !== undefined) addContract(parts, contract, contractSchemas(contract, "draft-07"));
  return {
    asyncapi: "3.0.0",
    info: { title: "Tidegate", version, description: about },
    defaultContentType: "application/json",
    servers: {
      gateway: {
        host: "{host}",
        protocol: "wss",
        description: "Socket.IO 4, over WebSocket or polling.",
        variables: { host: { default: "localhost:3000", description: "Host of the gateway." } },
      },
    },
    channels: parts.channels,
    operations: parts.operations,
    components: { messages: parts.messages, schemas: parts.schemas },
  };
}

const about = [
  "The Socket.IO events of the gateway, which receives the events of clients and sends its own.",
  "The name of a message is the event; its payload is the first argument, or the acknowledgement.",
  "Times are epoch milliseconds.",
].join(" ");

/** The connection itself. */
const socket = "socket";

function addBuiltIn(parts: AsyncApiParts): void {
  parts.addChannel(socket, { address: "/socket.io/", title: "The connection", description: "Path of Socket.IO." });
  for (const [name, event] of Object.entries(clientEvents)) {
    const request = ofGateway(keyOf(name), name, event.summary, event.request, "input");
    const answer = answerOf(name, acknowledgementOf(event));
    for (const message of [request, answer]) parts.addMessage(socket, message);
    parts.addOperation("receive", socket, request, answer.key);
  }
  for (const [name, { summary, payload }] of Object.entries(serverEvents)) {
    // `presence` is a request too.
    const message = ofGateway(name in clientEvents ? keyOf(name, "event") : keyOf(name), name, summary, payload);
    parts.addMessage(socket, message);
    parts.addOperation("send", socket, message);
  }
}

const answerOf = (name: string, schema: z.ZodType): MessageDescription =>
  ofGateway(keyOf(name, "answer"), name, `Acknowledgement of \`${name}\`.`, schema);

function ofGateway(
  key: string,
  name: string,
  summary: string,
  schema: z.ZodType,
  io: "input" | "output" = "output",
): MessageDescription {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, target: "draft-07" });
  const isValid = (example: unknown): boolean => schema.safeParse(example).success;
  return { key, name, summary, schema: json, hasSharedDefinitions: true, isValid };
}

function addContract(parts: AsyncApiParts, contract: Contract, schemas: ContractSchemas): void {
  for (const [name, event] of Object.entries(contract.events)) addAppEvent(parts, name, schemasOf(event), schemas);
  for (const [kind, events] of Object.entries(contract.channels)) {
    const key = keyOf("channel", kind);
    parts.addChannel(key, {
      address: `${kind}:{name}`,
      title: `Channels of kind ${kind}`,
      description: "Publications. The payload is the `data` of `publish` and of `publication`.",
      parameters: { name: { description: "The channel's name after its kind." } },
    });
    for (const [event, data] of Object.entries(events)) {
      const { input, output } = schemas.channels[kind]?.[event] ?? {};
      const sent = ofContract(keyOf("publish", kind, event), event, `Publish \`${event}\`.`, { data, json: input });
      const received = ofContract(keyOf(key, event), event, `A publication \`${event}\`.`, { data, json: output });
      for (const message of [sent, received]) parts.addMessage(key, message);
      parts.addOperation("receive", key, sent);
      parts.addOperation("send", key, received);
    }
  }
}

function addAppEvent(
  parts: AsyncApiParts,
  name: string,
  { input, answer }: ReturnType<typeof schemasOf>,
  { events }: ContractSchemas,
): void {
  const json = events[name];
  const key = keyOf("app", name);
  const sent = ofContract(key, name, `Event \`${name}\` for the app.`, { data: input, json: json?.input });
  parts.addMessage(socket, sent);
  if (answer === undefined) return parts.addOperation("receive", socket, sent);
  const refused = answerOf(name, refusedAnswer);
  const answered = ofContract(keyOf(key, "answer"), name, `The app's answer to \`${name}\`.`, {
    data: answer,
    json: json?.answer,
  });
  for (const message of [{ ...refused, key: keyOf(key, "refused") }, answered]) parts.addMessage(socket, message);
  parts.addOperation("receive", socket, sent, answered.key, keyOf(key, "refused"));
}

interface ContractSchema {
  data: StandardSchema;
  json: JsonSchema | undefined;
}

function ofContract(
  key: string,
  name: string,
  summary: string,
  { data, json = {} }: ContractSchema,
): MessageDescription {
  return {
    key,
    name,
    summary,
    schema: json,
    hasSharedDefinitions: false,
    isValid: (example) => accepts(data, example),
  };
}

/** An asynchronous schema has no example. */
function accepts(schema: StandardSchema, value: unknown): boolean {
  const result = schema["~standard"].validate(value);
  if (!(result instanceof Promise)) return result.issues === undefined;
  result.catch(() => undefined);
  return false;
}
