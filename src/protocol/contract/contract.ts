import { isName } from "../names.ts";
import { isReservedEvent } from "../reserved-events.ts";
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
  /** Values of state, by the kind of their channel and their key; a final `*` stands for the rest of a key. */
  readonly state?: Readonly<Record<string, SchemasByName>>;
  /** What orders carry. */
  readonly orders?: OrderContract;
  /** The `data` of scores, by board; a final `*` stands for the rest of a name. */
  readonly leaderboards?: SchemasByName;
  /** Events that clients send to the app in other namespaces than the main one. */
  readonly namespaces?: Readonly<Record<string, Contract["events"]>>;
}

export type SchemasByName = Readonly<Record<string, StandardSchema>>;

/** The `data` of orders, of their events by status, and of their signals by name, of which an order then accepts no others. */
export interface OrderContract {
  readonly data?: StandardSchema;
  readonly events?: SchemasByName;
  readonly signals?: SchemasByName;
}

/** The schema of the event's first argument, or that and the schema of the acknowledgement. */
export type EventContract = StandardSchema | { readonly input: StandardSchema; readonly answer: StandardSchema };

/** The schema of each event's data. A channel of this kind accepts no other events. Schemas must not be asynchronous. */
export type ChannelContract = SchemasByName;

/** No contract: every event and channel is open. */
export interface OpenContract extends Contract {
  readonly events: {};
  readonly channels: {};
}

const sections: readonly string[] = [
  "events",
  "channels",
  "state",
  "orders",
  "leaderboards",
  "namespaces",
] satisfies (keyof Contract)[];

/** Throws TypeError naming what is not a schema, or has a name that is not possible. */
export function defineContract<
  const Events extends Contract["events"] = {},
  const Channels extends Contract["channels"] = {},
  const State extends NonNullable<Contract["state"]> = {},
  const Orders extends OrderContract = {},
  const Boards extends SchemasByName = {},
  const Namespaces extends NonNullable<Contract["namespaces"]> = {},
>(given: {
  events?: Events;
  channels?: Channels;
  state?: State;
  orders?: Orders;
  leaderboards?: Boards;
  namespaces?: Namespaces;
}): {
  readonly events: Events;
  readonly channels: Channels;
  readonly state: State;
  readonly orders: Orders;
  readonly leaderboards: Boards;
  readonly namespaces: Namespaces;
} {
  const {
    events = {} as Events,
    channels = {} as Channels,
    state = {} as State,
    orders = {} as Orders,
    leaderboards = {} as Boards,
    namespaces = {} as Namespaces,
  } = given;
  checkEvents("events", events);
  for (const [kind, contract] of Object.entries(channels)) checkKind("channels", kind, contract);
  for (const [kind, contract] of Object.entries(state)) checkKind("state", kind, contract);
  checkOrders(orders);
  checkSchemas("leaderboards", leaderboards);
  for (const [name, contract] of Object.entries(namespaces)) checkNamespace(name, contract);
  return { events, channels, state, orders, leaderboards, namespaces };
}

/** The contract that a module exports. Throws TypeError. */
export function parseContract(value: unknown): Contract {
  if (typeof value !== "object" || value === null) throw new TypeError("is not a contract of defineContract");
  const unknown = Object.keys(value).find((name) => !sections.includes(name));
  if (unknown !== undefined) throw new TypeError(`${unknown}: a contract has only ${sections.join(", ")}`);
  return defineContract(value);
}

function checkEvents(at: string, events: Contract["events"]): void {
  for (const [event, contract] of Object.entries(events)) checkEvent(at, event, contract);
}

function checkNamespace(name: string, events: Contract["events"]): void {
  const place = `namespaces[${JSON.stringify(name)}]`;
  if (!/^\/[^\s,?#]{1,63}$/.test(name)) throw new TypeError(`${place}: must be a slash and a name, such as /admin`);
  checkEvents(place, events);
}

function checkOrders({ data, events = {}, signals = {} }: OrderContract): void {
  if (data !== undefined) checkSchema("orders.data", data);
  checkSchemas("orders.events", events);
  checkSchemas("orders.signals", signals);
}

function checkEvent(at: string, event: string, contract: EventContract): void {
  const place = `${at}[${JSON.stringify(event)}]`;
  if (!isName(event) || isReservedEvent(event)) throw new TypeError(`${place}: this name is reserved or not possible`);
  if (isStandardSchema(contract)) return;
  checkSchema(`${place}.input`, Object(contract).input);
  checkSchema(`${place}.answer`, Object(contract).answer);
}

function checkKind(at: string, kind: string, contract: SchemasByName): void {
  const place = `${at}[${JSON.stringify(kind)}]`;
  if (!isName(kind) || kind.includes(":")) throw new TypeError(`${place}: a kind is a name without a colon`);
  checkSchemas(place, contract);
}

function checkSchemas(at: string, contract: SchemasByName): void {
  for (const [name, schema] of Object.entries(contract)) checkSchema(`${at}[${JSON.stringify(name)}]`, schema);
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

type SectionOf<C extends Contract, Name extends keyof Contract> = C extends { readonly [K in Name]: infer S } ? S : {};
type SchemaOf<Section, Name> = Name extends keyof Section ? Section[Name] : undefined;
type InputIn<S> = S extends StandardSchema ? InputOf<S> : unknown;
/** The schema of a name in a section, or of the pattern that stands for it. */
type NamedSchema<Section, Name extends string> = Name extends keyof Section
  ? Section[Name]
  : {
      [Key in keyof Section]: Key extends `${infer Start}*`
        ? Name extends `${Start}${string}`
          ? Section[Key]
          : never
        : never;
    }[keyof Section];

/** Values of a channel's state as subscribers receive them; unknown without a contract. */
export type StateValue<C extends Contract, Channel extends string> =
  SchemaOf<SectionOf<C, "state">, KindOf<Channel>> extends infer Keys extends SchemasByName
    ? OutputOf<Keys[keyof Keys]>
    : unknown;

/** The fields of a command with `data` as the contract has it; optional if its schema accepts undefined. */
type WithData<Fields, Data> = unknown extends Data
  ? Fields
  : Omit<Fields, "data"> & (undefined extends Data ? { data?: Data } : { data: Data });

type OrderSection<C extends Contract> = SectionOf<C, "orders">;

/** A new order. */
export type OrderInput<C extends Contract, Fields> = WithData<Fields, InputIn<SchemaOf<OrderSection<C>, "data">>>;

/** A change of an order, which may leave its data as it is. */
export type OrderChangeInput<C extends Contract, Fields> =
  InputIn<SchemaOf<OrderSection<C>, "data">> extends infer Data
    ? unknown extends Data
      ? Fields
      : Omit<Fields, "data"> & { data?: Data }
    : never;

/** An order's event, by its status. */
export type OrderEventInput<C extends Contract, Status extends string, Fields> = WithData<
  Fields,
  InputIn<SchemaOf<SchemaOf<OrderSection<C>, "events">, Status>>
>;

/** An order's signal, by its name. */
export type OrderSignalInput<C extends Contract, Name extends string, Fields> = WithData<
  Fields,
  InputIn<SchemaOf<SchemaOf<OrderSection<C>, "signals">, Name>>
>;

/** A score, by its board. */
export type ScoreInput<C extends Contract, Board extends string, Fields> = WithData<
  Fields,
  [NamedSchema<SectionOf<C, "leaderboards">, Board>] extends [never]
    ? unknown
    : InputIn<NamedSchema<SectionOf<C, "leaderboards">, Board>>
>;
