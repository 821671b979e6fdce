import { isName } from "./names.ts";
import { isReservedEvent } from "./reserved-events.ts";
import { isStandardSchema, type InputOf, type OutputOf, type StandardSchema } from "./standard-schema.ts";

/**
 * What an application's clients, backends and app send each other, as Standard Schemas in one file. Without libraries and
 * without the server, so that browsers can import it.
 */
export interface Contract {
  /** Events that clients send to the app, by name. */
  readonly events: Readonly<Record<string, EventContract>>;
  /** Publications, by the kind of their channel and the name of their event. */
  readonly channels: Readonly<Record<string, ChannelContract>>;
}

/** The schema of the event's first argument, or that and the schema of the acknowledgement. */
export type EventContract = StandardSchema | { readonly input: StandardSchema; readonly answer: StandardSchema };

/** The schema of each event's data. A channel of this kind accepts no other events. Schemas must not be asynchronous. */
export type ChannelContract = Readonly<Record<string, StandardSchema>>;

/** No contract: every event and channel is open. */
export interface OpenContract extends Contract {
  readonly events: {};
  readonly channels: {};
}

/** Throws TypeError naming what is not a schema, or has a name that is not possible. */
export function defineContract<
  const Events extends Contract["events"] = {},
  const Channels extends Contract["channels"] = {},
>({
  events = {} as Events,
  channels = {} as Channels,
}: {
  events?: Events;
  channels?: Channels;
}): { readonly events: Events; readonly channels: Channels } {
  for (const [event, contract] of Object.entries(events)) checkEvent(event, contract);
  for (const [kind, contract] of Object.entries(channels)) checkKind(kind, contract);
  return { events, channels };
}

/** The contract that a module exports. Throws TypeError. */
export function parseContract(value: unknown): Contract {
  if (typeof value !== "object" || value === null) throw new TypeError("is not a contract of defineContract");
  const unknown = Object.keys(value).find((name) => name !== "events" && name !== "channels");
  if (unknown !== undefined) throw new TypeError(`${unknown}: a contract has only events and channels`);
  return defineContract(value);
}

function checkEvent(event: string, contract: EventContract): void {
  const place = `events[${JSON.stringify(event)}]`;
  if (!isName(event) || isReservedEvent(event)) throw new TypeError(`${place}: this name is reserved or not possible`);
  if (isStandardSchema(contract)) return;
  checkSchema(`${place}.input`, Object(contract).input);
  checkSchema(`${place}.answer`, Object(contract).answer);
}

function checkKind(kind: string, contract: ChannelContract): void {
  const place = `channels[${JSON.stringify(kind)}]`;
  if (!isName(kind) || kind.includes(":")) throw new TypeError(`${place}: a kind is a name without a colon`);
  for (const [event, schema] of Object.entries(contract)) checkSchema(`${place}[${JSON.stringify(event)}]`, schema);
}

function checkSchema(place: string, schema: unknown): void {
  if (!isStandardSchema(schema)) throw new TypeError(`${place}: is not a Standard Schema`);
}

/** The schemas of an event. */
export function schemasOf(contract: EventContract): { input: StandardSchema; answer: StandardSchema | undefined } {
  return isStandardSchema(contract) ? { input: contract, answer: undefined } : contract;
}

type InputSchema<E> = E extends StandardSchema ? E : E extends { input: infer S extends StandardSchema } ? S : never;

/** What a client sends with an event. */
export type EventInput<C extends Contract, Name extends keyof C["events"]> = InputOf<InputSchema<C["events"][Name]>>;

/** What the app receives: the input after validation. */
export type EventOutput<C extends Contract, Name extends keyof C["events"]> = OutputOf<InputSchema<C["events"][Name]>>;

type AnswerSchema<E> = E extends { answer: infer S extends StandardSchema } ? S : never;

/** What the app answers; unknown if the contract does not say. */
export type AppAnswerInput<C extends Contract, Name extends keyof C["events"]> = [
  AnswerSchema<C["events"][Name]>,
] extends [never]
  ? unknown
  : InputOf<AnswerSchema<C["events"][Name]>>;

/** What the client is answered; unknown if the contract does not say. */
export type AppAnswerOutput<C extends Contract, Name extends keyof C["events"]> = [
  AnswerSchema<C["events"][Name]>,
] extends [never]
  ? unknown
  : OutputOf<AnswerSchema<C["events"][Name]>>;

type KindOf<Channel extends string> = Channel extends `${infer Kind}:${string}` ? Kind : Channel;

type EventsOf<C extends Contract, Channel extends string> =
  KindOf<Channel> extends keyof C["channels"] ? C["channels"][KindOf<Channel>] : undefined;

/** Data of a channel's publications as subscribers receive it, by event. */
export type PublicationData<C extends Contract, Channel extends string> =
  EventsOf<C, Channel> extends infer Events extends ChannelContract
    ? { [Event in keyof Events]: OutputOf<Events[Event]> }
    : Record<string, unknown>;

/** The same as publishers send it. */
export type PublicationInputs<C extends Contract, Channel extends string> =
  EventsOf<C, Channel> extends infer Events extends ChannelContract
    ? { [Event in keyof Events]: InputOf<Events[Event]> }
    : Record<string, unknown>;

interface OpenPublication {
  event: string;
  data: {} | null;
}

/** Event and data of a publication to a channel. */
export type PublicationInput<C extends Contract, Channel extends string> = keyof C["channels"] extends never
  ? OpenPublication
  : ContractPublication<C, Channel>;

type ContractPublication<C extends Contract, Channel extends string> =
  EventsOf<C, Channel> extends infer Events extends ChannelContract
    ? { [Event in keyof Events & string]: { event: Event; data: InputOf<Events[Event]> } }[keyof Events & string]
    : OpenPublication;
