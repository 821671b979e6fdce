import type { Kinds } from "../channels/kinds.ts";
import type { AskApp } from "../channels/permissions.ts";
import type { Config } from "../config.ts";
import { ConfigError, type Problem } from "../config/problems.ts";
import { clientEvents } from "../protocol/client-events.ts";
import { createTransitionTable } from "../orders/transitions.ts";
import {
  createContractChecks,
  type ContractChecks,
  type PublicationToCheck,
} from "../protocol/contract/contract-checks.ts";
import { appFailed } from "../protocol/errors.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { Contract } from "../protocol/contract/contract.ts";

/** Throws ConfigError for an event or a kind of the contract that this gateway would never check. */
export function createNodeContractChecks(
  contract: Contract,
  kinds: Kinds,
  { transitions }: Pick<Config["orders"], "transitions">,
): ContractChecks {
  const problems = [
    ...builtInEvents(contract),
    ...unknownKinds(contract, kinds),
    ...kindsWithoutState(contract, kinds),
    ...unknownStatuses(contract, createTransitionTable(transitions).isKnown),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
  return createContractChecks(contract);
}

/** Also checks the data with which the app replaces a publication's. Throws `app_failed` if it does not match. */
export function withCheckedData(askApp: AskApp, checksOf: () => ContractChecks | undefined): AskApp {
  return async (question) => {
    const { channel, publication } = question;
    const data = await askApp(question);
    const checks = checksOf();
    if (data === undefined || publication === undefined || checks === undefined) return data;
    try {
      return canonicalJson(
        checkedData(checks, { channel, event: publication.event, data: JSON.parse(data) as unknown }),
      );
    } catch (cause) {
      throw appFailed(cause);
    }
  };
}

/** The hook is also asked before a key of a channel's state is set. */
function checkedData(checks: ContractChecks, publication: PublicationToCheck): unknown {
  const { channel, event, data } = publication;
  if (event !== "state:set") return checks.publication(publication);
  const { key, value } = Object(data) as { key: string; value?: unknown };
  return { key, value: value === null || value === undefined ? null : checks.stateValue({ channel, key, value }) };
}

function builtInEvents({ events }: Contract): Problem[] {
  return Object.keys(clientEvents)
    .filter((event) => Object.hasOwn(events, event))
    .map((event) => ({
      name: `contract.events.${event}`,
      message: "is an event of the gateway, with a schema of its own",
    }));
}

function unknownKinds({ channels }: Contract, kinds: Kinds): Problem[] {
  return Object.keys(channels)
    .filter((kind) => !kinds.has(`${kind}:`))
    .map((kind) => ({ name: `contract.channels.${kind}`, message: "no channel kind of this name is configured" }));
}

function kindsWithoutState({ state = {} }: Contract, kinds: Kinds): Problem[] {
  const hasState = (kind: string): boolean => kinds.has(`${kind}:`) && kinds.of(`${kind}:`).state;
  return Object.keys(state)
    .filter((kind) => !hasState(kind))
    .map((kind) => ({ name: `contract.state.${kind}`, message: "no channel kind of this name has state" }));
}

function unknownStatuses({ orders }: Contract, isOrderStatus: (status: string) => boolean): Problem[] {
  return Object.keys(orders?.events ?? {})
    .filter((status) => !isOrderStatus(status))
    .map((status) => ({ name: `contract.orders.events.${status}`, message: "no order can have this status" }));
}
