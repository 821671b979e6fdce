import { ConfigError } from "../config/problems.ts";
import { envelopeBytes, type CommandIngress } from "../commands/command-ingress.ts";
import { Outbox } from "../commands/outbox/outbox.ts";
import { loadPostgres, MissingDriver } from "../commands/outbox/postgres.ts";
import type { NodeContext } from "./node-context.ts";

/** Undefined without OUTBOX_URL. Throws ConfigError if the database's driver is not installed. */
export async function createOutbox(
  { config, metrics, clock, log }: NodeContext,
  { executor }: Pick<CommandIngress, "executor">,
): Promise<Outbox | undefined> {
  if (config.outbox === undefined) return undefined;
  const connect = await loadPostgres(config.outbox.url).catch((error: unknown) => {
    if (!(error instanceof MissingDriver)) throw error;
    throw new ConfigError([{ name: "OUTBOX_URL", message: error.message }]);
  });
  return new Outbox(
    { connect, executor, metrics, clock, log },
    { maxBytes: config.limits.payloadBytes + envelopeBytes, tries: config.commands.tries },
  );
}
