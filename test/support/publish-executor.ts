import type { PublishRequest, Published } from "../../src/channels/publication.ts";
import { createCommandExecutor, type CommandExecutor } from "../../src/commands/command-executor.ts";
import type { Metrics } from "../../src/runtime/metrics.ts";

/** The real executor over the given way to publish; other commands fail. */
export function publishExecutor(
  publish: (request: PublishRequest) => Promise<Published>,
  metrics: Pick<Metrics, "publications">,
): CommandExecutor {
  const unexpected = async (): Promise<never> => {
    throw new Error("unexpected command");
  };
  return createCommandExecutor({
    publish,
    publishEphemeral: unexpected,
    metrics,
    orders: { create: unexpected, update: unexpected, apply: unexpected, signal: unexpected },
    submitScore: unexpected,
    updateSession: unexpected,
    revokeSession: unexpected,
    disconnectUser: unexpected,
    askClients: unexpected,
    once: (_write, run) => run(),
  });
}

/** For routes of which no test schedules anything. */
export const noSchedule = { plan: () => Promise.reject(new Error("nothing can be scheduled here")) };
