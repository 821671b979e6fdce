import type { Kinds } from "../channels/kinds.ts";
import type { AskApp } from "../channels/permissions.ts";
import { ConfigError, type Problem } from "../config/problems.ts";
import { clientEvents } from "../protocol/client-events.ts";
import { createContractChecks, type ContractChecks } from "../protocol/contract-checks.ts";
import { appFailed } from "../protocol/errors.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { Contract } from "../protocol/contract.ts";

/** Throws ConfigError for an event or a kind of the contract that this gateway would never check. */
export function createNodeContractChecks(contract: Contract, kinds: Kinds): ContractChecks {
  const problems = [...builtInEvents(contract), ...unknownKinds(contract, kinds)];
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
        checks.publication({ channel, event: publication.event, data: JSON.parse(data) as unknown }),
      );
    } catch (cause) {
      throw appFailed(cause);
    }
  };
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
