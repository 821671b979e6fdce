import { ConfigError } from "../config/problems.ts";
import { envelopeBytes, type CommandIngress } from "../commands/command-ingress.ts";
import { Outbox } from "../commands/outbox/outbox.ts";
import { loadPostgres, MissingDriver, type ConnectDatabase } from "../commands/outbox/postgres.ts";
import type { NodeContext } from "./node-context.ts";

/** Undefined without OUTBOX_URL. Throws ConfigError if the database's driver is not installed. */
export async function loadOutboxDatabase({ outbox }: NodeContext["config"]): Promise<ConnectDatabase | undefined> {
  if (outbox === undefined) return undefined;
  return loadPostgres(outbox.url).catch((error: unknown) => {
    if (!(error instanceof MissingDriver)) throw error;
    throw new ConfigError([{ name: "OUTBOX_URL", message: error.message }]);
  });
}

export function createOutbox(
  connect: ConnectDatabase,
  { config, metrics, clock, log }: NodeContext,
  { executor }: Pick<CommandIngress, "executor">,
): Outbox {
  return new Outbox(
    { connect, executor, metrics, clock, log },
    { maxBytes: config.limits.payloadBytes + envelopeBytes, tries: config.commands.tries },
  );
}
