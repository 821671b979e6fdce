import type { Command } from "../commands.ts";
import { schemasOf, type Contract, type OrderContract, type SchemasByName } from "./contract.ts";
import { appFailed } from "../errors.ts";
import { kindOf } from "../names.ts";
import { wrong } from "../parse-with.ts";
import { validateAtOnce, validateWith, type StandardSchema } from "./standard-schema.ts";

/** A publication before it is encoded. */
export interface PublicationToCheck {
  channel: string;
  event: string;
  data: unknown;
}

/** Checks what is sent against a contract. */
export interface ContractChecks {
  /**
   * The data as its schema returns it. `at` is the path of the publication. Throws `bad_request` naming the field, also for
   * an event that the contract does not have in channels of this kind. Other kinds are not checked.
   */
  publication(publication: PublicationToCheck, at?: string): unknown;
  /** A value of a channel's state, as its schema returns it. `at` is the path of the change. Throws as `publication` does. */
  stateValue(change: StateToCheck, at?: string): unknown;
  /** The command with its `data` as the schema returns it, of orders and scores. Throws as `publication` does. */
  command<C extends Command>(command: C, at?: string): C;
  /** Checks of the events of a namespace; undefined if the contract has none. */
  namespace(name: string): EventChecks | undefined;
}

/** Checks what clients send to the app, and what it answers. */
export interface EventChecks {
  /** The arguments, of which the first is as its schema returns it. Throws `bad_request` naming the field. */
  event(name: string, args: readonly unknown[]): Promise<readonly unknown[]>;
  /** The arguments of the app's acknowledgement. Throws `app_failed`. */
  answer(name: string, args: readonly unknown[]): Promise<readonly unknown[]>;
}

/** A change of a channel's state; `value` is not null. */
export interface StateToCheck {
  channel: string;
  key: string;
  value: unknown;
}

export function createContractChecks(contract: Contract): ContractChecks {
  const { events, channels, state = {}, orders = {}, leaderboards = {}, namespaces = {} } = contract;
  const publications = byKind(channels);
  const keys = byKind(state);
  const board = lookUp(leaderboards);
  const eventChecks = new Map(
    Object.entries({ ...namespaces, "/": events }).map(([name, own]) => [name, createEventChecks(own)] as const),
  );

  return {
    publication({ channel, event, data }, at = "") {
      const schemas = publications.get(kindOf(channel));
      if (schemas === undefined) return data;
      const schema = schemas.find(event) ?? refuse(`${pathOf(at)}event`, `of ${kindOf(channel)}`, schemas.names);
      return validateAtOnce(schema, data, { at: `${pathOf(at)}data` });
    },

    stateValue({ channel, key, value }, at = "") {
      const schemas = keys.get(kindOf(channel));
      if (schemas === undefined) return value;
      const schema = schemas.find(key) ?? refuse(`${pathOf(at)}key`, `of ${kindOf(channel)}`, schemas.names);
      return validateAtOnce(schema, value, { at: `${pathOf(at)}value` });
    },

    command(command, at = "") {
      const path = pathOf(at);
      const schema = command.type === "score.submit" ? board.find(command.board) : ofOrder(orders, command, path);
      if (schema === undefined) return command;
      const data = validateAtOnce(schema, (command as { data?: unknown }).data, { at: `${path}data` });
      return data === undefined ? command : { ...command, data };
    },

    namespace: (name) => eventChecks.get(name),
  };
}

const pathOf = (at: string): string => (at === "" ? "" : `${at}.`);

function refuse(field: string, what: string, names: readonly string[]): never {
  throw wrong(field, `is not in the contract ${what}, which has ${names.join(", ")}`);
}

function ofOrder({ data, events = {}, signals }: OrderContract, command: Command, path: string) {
  if (command.type === "order.create") return data;
  if (command.type === "order.update") return command.data === undefined ? undefined : data;
  if (command.type === "order.event") return lookUp(events).find(command.status);
  if (command.type !== "order.signal" || signals === undefined) return undefined;
  return lookUp(signals).find(command.name) ?? refuse(`${path}name`, "of orders", Object.keys(signals));
}

interface Schemas {
  readonly names: readonly string[];
  /** By its name, else by the longest pattern that stands for it. */
  find(name: string): StandardSchema | undefined;
}

const byKind = (kinds: Readonly<Record<string, SchemasByName>>): ReadonlyMap<string, Schemas> =>
  new Map(Object.entries(kinds).map(([kind, schemas]) => [kind, lookUp(schemas)] as const));

function lookUp(schemas: SchemasByName): Schemas {
  const names = Object.keys(schemas);
  const patterns = names.filter((name) => name.endsWith("*")).toSorted((a, b) => b.length - a.length);
  return {
    names,
    find(name) {
      if (Object.hasOwn(schemas, name)) return schemas[name];
      const pattern = patterns.find((one) => name.startsWith(one.slice(0, -1)));
      return pattern === undefined ? undefined : schemas[pattern];
    },
  };
}

function createEventChecks(events: Contract["events"]): EventChecks {
  const ofEvents = new Map(Object.entries(events).map(([name, contract]) => [name, schemasOf(contract)] as const));
  return {
    async event(name, args) {
      const schemas = ofEvents.get(name);
      if (schemas === undefined) return args;
      return [await validateWith(schemas.input, args[0], { at: "", name: "argument" }), ...args.slice(1)];
    },

    async answer(name, args) {
      const schema = ofEvents.get(name)?.answer;
      if (schema === undefined) return args;
      try {
        return [await validateWith(schema, args[0], { at: "answer" }), ...args.slice(1)];
      } catch (cause) {
        throw appFailed(cause);
      }
    },
  };
}
