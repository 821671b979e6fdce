import { z } from "zod";
import { acknowledgementOf, clientEvents, refusedAnswer } from "../protocol/client-events.ts";
import { contractSchemas, type JsonSchema } from "../protocol/contract-schemas.ts";
import { schemasOf, type Contract } from "../protocol/contract.ts";
import { serverEvents } from "../protocol/server-events.ts";
import type { StandardSchema } from "../protocol/standard-schema.ts";
import { AsyncApiParts, type MessageDescription } from "./asyncapi-parts.ts";

/** AsyncAPI 3.0 of the Socket.IO side: events of clients, events of the gateway, and those of the contract. */
export function describeEvents(contract: Contract | undefined, version: string): object {
  const parts = new AsyncApiParts();
  const socket = addBuiltIn(parts);
  if (contract !== undefined) addContract(parts, socket, contract);
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

function addBuiltIn(parts: AsyncApiParts): string {
  const connection = { address: "/socket.io/", title: "The connection", description: "Path of Socket.IO." };
  const channel = parts.addChannel(["socket"], connection);
  for (const [name, event] of Object.entries(clientEvents)) {
    const { summary } = event;
    const request = ofGateway([name, "request"], name, summary, { schema: event.request, io: "input" });
    const message = parts.addMessage(channel, request);
    const replies = [parts.addMessage(channel, answerOf([name, "answer"], name, acknowledgementOf(event)))];
    parts.addOperation({ action: "receive", words: [name], summary, channel, message, replies });
  }
  for (const [name, { summary, payload }] of Object.entries(serverEvents)) {
    const message = parts.addMessage(channel, ofGateway([name, "event"], name, summary, { schema: payload }));
    parts.addOperation({ action: "send", words: ["on", name], summary, channel, message });
  }
  return channel;
}

const answerOf = (words: readonly string[], name: string, schema: z.ZodType): MessageDescription =>
  ofGateway(words, name, `Acknowledgement of \`${name}\`.`, { schema });

function ofGateway(
  words: readonly string[],
  name: string,
  summary: string,
  { schema, io = "output" }: { schema: z.ZodType; io?: "input" | "output" },
): MessageDescription {
  const { $schema: _dialect, ...json } = z.toJSONSchema(schema, { io, target: "draft-07" });
  const isValid = (example: unknown): boolean => schema.safeParse(example).success;
  return { words, name, summary, schema: json, hasSharedDefinitions: true, isValid };
}

function addContract(parts: AsyncApiParts, socket: string, contract: Contract): void {
  const schemas = contractSchemas(contract, "draft-07");
  for (const [name, event] of Object.entries(contract.events)) {
    const { input, answer } = schemasOf(event);
    const json = schemas.events[name];
    addAppEvent(parts, socket, name, {
      input: { data: input, json: json?.input },
      answer: answer && { data: answer, json: json?.answer },
    });
  }
  for (const [kind, events] of Object.entries(contract.channels)) {
    const channel = addKind(parts, kind);
    for (const [event, data] of Object.entries(events)) {
      const { input, output } = schemas.channels[kind]?.[event] ?? {};
      addPublication(parts, channel, [kind, event], { input: { data, json: input }, output: { data, json: output } });
    }
  }
}

interface ContractSchema {
  data: StandardSchema;
  json: JsonSchema | undefined;
}

function addAppEvent(
  parts: AsyncApiParts,
  channel: string,
  name: string,
  { input, answer }: { input: ContractSchema; answer: ContractSchema | undefined },
): void {
  const summary = `Event \`${name}\` for the app.`;
  const message = parts.addMessage(channel, ofContract(["app", name], name, summary, input));
  const answers = answer && [
    ofContract(["app", name, "answer"], name, `The app's answer to \`${name}\`.`, answer),
    answerOf(["app", name, "refusal"], name, refusedAnswer),
  ];
  const replies = answers?.map((one) => parts.addMessage(channel, one));
  const words = ["app", name];
  parts.addOperation({ action: "receive", words, summary, channel, message, ...(replies && { replies }) });
}

const addKind = (parts: AsyncApiParts, kind: string): string =>
  parts.addChannel(["channel", kind], {
    address: `${kind}:{name}`,
    title: `Channels of kind ${kind}`,
    description: "Publications. The payload is the `data` of `publish` and of `publication`.",
    parameters: { name: { description: "The channel's name after its kind." } },
  });

function addPublication(
  parts: AsyncApiParts,
  channel: string,
  [kind, event]: readonly [string, string],
  { input, output }: Record<"input" | "output", ContractSchema>,
): void {
  const sides = [
    { action: "receive", words: ["publish", kind, event], summary: `Publish \`${event}\`.`, schema: input },
    { action: "send", words: ["on", kind, event], summary: `A publication \`${event}\`.`, schema: output },
  ] as const;
  for (const { action, words, summary, schema } of sides) {
    const message = parts.addMessage(channel, ofContract(words, event, summary, schema));
    parts.addOperation({ action, words, summary, channel, message });
  }
}

function ofContract(
  words: readonly string[],
  name: string,
  summary: string,
  { data, json = {} }: ContractSchema,
): MessageDescription {
  const isValid = (example: unknown): boolean => accepts(data, example);
  return { words, name, summary, schema: json, hasSharedDefinitions: false, isValid };
}

/** An asynchronous schema has no example. */
function accepts(schema: StandardSchema, value: unknown): boolean {
  const result = schema["~standard"].validate(value);
  if (!(result instanceof Promise)) return result.issues === undefined;
  result.catch(() => undefined);
  return false;
}
