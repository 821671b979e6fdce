import { z } from "zod";
import { acknowledgementOf, clientEvents, refusedAnswer } from "../protocol/client-events.ts";
import {
  contractSchemas,
  type DataSchemas,
  type EventsSchemas,
  type JsonSchema,
} from "../protocol/contract/contract-schemas.ts";
import { schemasOf, type Contract, type SchemasByName } from "../protocol/contract/contract.ts";
import { serverEvents } from "../protocol/server-events.ts";
import type { StandardSchema } from "../protocol/contract/standard-schema.ts";
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
  const { state = {}, orders = {}, leaderboards = {}, namespaces = {} } = contract;
  addAppEvents(parts, socket, { words: ["app"], events: contract.events, json: schemas.events });
  for (const [name, events] of Object.entries(namespaces)) {
    const title = `Namespace ${name}`;
    const description = "Events of the app in a Socket.IO namespace of its own.";
    const channel = parts.addChannel(["namespace", name], { address: `/socket.io/ (${name})`, title, description });
    addAppEvents(parts, channel, { words: ["app", name], events, json: schemas.namespaces[name] });
  }
  for (const [kind, data] of Object.entries(contract.channels))
    addData(parts, addKind(parts, kind), { ...publications, subject: kind, data, json: schemas.channels[kind] });
  for (const [kind, data] of Object.entries(state))
    addData(parts, addStateKind(parts, kind), { ...stateKeys, subject: kind, data, json: schemas.state[kind] });
  const ofOrders = { ...orderData, subject: "order" };
  const { data, events = {}, signals = {} } = orders;
  if (data !== undefined)
    addData(parts, addOrders(parts, "data"), { ...ofOrders, data: { data }, json: schemas.orders.data });
  addGroup(parts, addOrders, "events", { ...ofOrders, data: events, json: schemas.orders.events });
  addGroup(parts, addOrders, "signals", { ...ofOrders, data: signals, json: schemas.orders.signals });
  addGroup(parts, addBoards, "scores", { ...scores, subject: "board", data: leaderboards, json: schemas.leaderboards });
}

/** A channel of its own for what a contract has of it. */
function addGroup(
  parts: AsyncApiParts,
  addChannel: (parts: AsyncApiParts, what: string) => string,
  what: string,
  group: DataGroup,
): void {
  if (Object.keys(group.data).length > 0) addData(parts, addChannel(parts, what), group);
}

const addStateKind = (parts: AsyncApiParts, kind: string): string =>
  parts.addChannel(["state", kind], {
    address: `${kind}:{name}`,
    title: `State of channels of kind ${kind}`,
    description: "Values by key: the payload is the `value` of `state:set` and of the changes in `state`.",
    parameters: { name: { description: "The channel's name after its kind." } },
  });

const addOrders = (parts: AsyncApiParts, what: string): string =>
  parts.addChannel(["order", what], {
    address: "order:{orderId}",
    title: `Orders: ${what}`,
    description: "The payload is the `data` of what backends send, and clients receive.",
    parameters: { orderId: { description: "The order's id." } },
  });

const addBoards = (parts: AsyncApiParts, what: string): string =>
  parts.addChannel(["leaderboard", what], {
    address: "leaderboard:{board}",
    title: `Leaderboards: ${what}`,
    description: "The payload is the `data` of a score, and of an entry.",
    parameters: { board: { description: "The board." } },
  });

function addAppEvents(
  parts: AsyncApiParts,
  channel: string,
  { words, events, json = {} }: { words: string[]; events: Contract["events"]; json: EventsSchemas | undefined },
): void {
  for (const [name, event] of Object.entries(events)) {
    const { input, answer } = schemasOf(event);
    addAppEvent(parts, channel, [...words, name], {
      input: { data: input, json: json[name]?.input },
      answer: answer && { data: answer, json: json[name]?.answer },
    });
  }
}

interface ContractSchema {
  data: StandardSchema;
  json: JsonSchema | undefined;
}

function addAppEvent(
  parts: AsyncApiParts,
  channel: string,
  words: readonly string[],
  { input, answer }: { input: ContractSchema; answer: ContractSchema | undefined },
): void {
  const name = words.at(-1) ?? "";
  const summary = `Event \`${name}\` for the app.`;
  const message = parts.addMessage(channel, ofContract(words, name, summary, input));
  const answers = answer && [
    ofContract([...words, "answer"], name, `The app's answer to \`${name}\`.`, answer),
    answerOf([...words, "refusal"], name, refusedAnswer),
  ];
  const replies = answers?.map((one) => parts.addMessage(channel, one));
  parts.addOperation({ action: "receive", words, summary, channel, message, ...(replies && { replies }) });
}

const addKind = (parts: AsyncApiParts, kind: string): string =>
  parts.addChannel(["channel", kind], {
    address: `${kind}:{name}`,
    title: `Channels of kind ${kind}`,
    description: "Publications. The payload is the `data` of `publish` and of `publication`.",
    parameters: { name: { description: "The channel's name after its kind." } },
  });

/** What is sent and received under names. */
interface DataGroup {
  /** Words of the operations, and their summaries by name. */
  sent: readonly [word: string, summary: (name: string) => string];
  received: readonly [word: string, summary: (name: string) => string];
  /** Word for all of them. */
  subject: string;
  data: SchemasByName;
  json: DataSchemas | undefined;
}

type DataWords = Pick<DataGroup, "sent" | "received">;

const publications: DataWords = {
  sent: ["publish", (name) => `Publish \`${name}\`.`],
  received: ["on", (name) => `A publication \`${name}\`.`],
};
const stateKeys: DataWords = {
  sent: ["set", (name) => `Set the key \`${name}\`.`],
  received: ["onState", (name) => `A value of the key \`${name}\`.`],
};
const orderData: DataWords = {
  sent: ["send", (name) => `Data of \`${name}\`, from a backend.`],
  received: ["receive", (name) => `Data of \`${name}\`, for clients.`],
};
const scores: DataWords = {
  sent: ["score", (name) => `Data of a score on \`${name}\`.`],
  received: ["entry", (name) => `Data of an entry of \`${name}\`.`],
};

function addData(parts: AsyncApiParts, channel: string, { sent, received, subject, data, json = {} }: DataGroup): void {
  for (const [name, schema] of Object.entries(data)) {
    const sides = [
      { action: "receive", side: sent, json: json[name]?.input },
      { action: "send", side: received, json: json[name]?.output },
    ] as const;
    for (const { action, side, json: described } of sides) {
      const words = [side[0], subject, name];
      const summary = side[1](name);
      const message = parts.addMessage(channel, ofContract(words, name, summary, { data: schema, json: described }));
      parts.addOperation({ action, words, summary, channel, message });
    }
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

/** An asynchronous schema has no example, nor has one that throws, such as of a transform that expects another text. */
function accepts(schema: StandardSchema, value: unknown): boolean {
  try {
    const result = schema["~standard"].validate(value);
    if (!(result instanceof Promise)) return result.issues === undefined;
    result.catch(() => undefined);
  } catch {
    // The gateway must start all the same.
  }
  return false;
}
