import { schemasOf, type Contract } from "./contract.ts";
import { appFailed } from "./errors.ts";
import { kindOf } from "./names.ts";
import { wrong } from "./parse-with.ts";
import { validateAtOnce, validateWith } from "./standard-schema.ts";

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
  /** The arguments, of which the first is as its schema returns it. Throws `bad_request` naming the field. */
  event(name: string, args: readonly unknown[]): Promise<readonly unknown[]>;
  /** The arguments of the app's acknowledgement. Throws `app_failed`. */
  answer(name: string, args: readonly unknown[]): Promise<readonly unknown[]>;
}

export function createContractChecks({ events, channels }: Contract): ContractChecks {
  const kinds = new Map(
    Object.entries(channels).map(([kind, schemas]) => [kind, new Map(Object.entries(schemas))] as const),
  );
  const ofEvents = new Map(Object.entries(events).map(([name, contract]) => [name, schemasOf(contract)] as const));

  return {
    publication({ channel, event, data }, at = "") {
      const kind = kindOf(channel);
      const schemas = kinds.get(kind);
      if (schemas === undefined) return data;
      const schema = schemas.get(event);
      const path = at === "" ? "" : `${at}.`;
      if (schema === undefined)
        throw wrong(`${path}event`, `is not in the contract of ${kind}, which has ${[...schemas.keys()].join(", ")}`);
      return validateAtOnce(schema, data, { at: `${path}data` });
    },

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
