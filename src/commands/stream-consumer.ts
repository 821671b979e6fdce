import { randomUUID } from "node:crypto";
import type { Command } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { GateLimits } from "../protocol/gate.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createConsumerGroup, type ConsumerGroup } from "../redis/consumer-group.ts";
import { createGroupStore, type GroupEntry } from "../redis/group-store.ts";
import type { Keys } from "../redis/keys.ts";
import type { LeaderLease } from "../redis/leader-lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { createJobRunner, type Job, type CommandRetryOptions } from "./job-runner.ts";
import { parseCommand, subjectOfCommand } from "./commands.ts";
import type { DeadCommandStore } from "./dead-command-store.ts";
import { createJobQueues } from "./job-queues.ts";
import type { CommandExecutor } from "./command-executor.ts";

/**
 * Performs the commands of the stream `<prefix>:commands`, which are durable.
 *
 * Each is performed at least once and has its effect once: the id of the entry is its idempotency key. Commands of one
 * subject (an order, a channel, a member of a board, a user) take effect in the order of the stream, no matter how many
 * nodes run: one node at a time reads (`redis/consumer-group.ts`) and has a queue per subject. A command that cannot be
 * performed becomes a dead letter with its reason: at once if it is malformed or refused, after `tries` attempts if it
 * might have succeeded. A command that waits for its next attempt delays only its own subject.
 */
export interface StreamConsumerOptions extends Partial<CommandRetryOptions> {
  /** Duration of the leader lease in milliseconds. @default 2000 */
  leaseMs?: number;
  /** Max entries that are being performed. @default 1024 */
  maxInFlight?: number;
  /** Bounds of a command's text. */
  limits?: Partial<GateLimits>;
}

export interface StreamConsumerDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  /** A connection of its own, for blocking reads. */
  blocking: RedisClient;
  keys: Keys;
  nodeId: string;
  executor: CommandExecutor;
  deadLetters: Pick<DeadCommandStore, "add">;
  clock: Clock;
  log: Logger;
  metrics: Pick<Metrics, "commands">;
}

const defaults = { tries: 5, firstPauseMs: 100, longestPauseMs: 5_000, leaseMs: 2_000, maxInFlight: 1_024 };

const group = "gateway";
/** Crashes of consumers with an entry pending, after which it is performed alone. */
const suspectAfter = 3;
/** Max deliveries; an entry with more is assumed to crash its consumers. */
const maxDeliveries = suspectAfter + 3;

export function createStreamConsumer(deps: StreamConsumerDeps, given: StreamConsumerOptions = {}): ConsumerGroup {
  const { commands, blocking, keys, nodeId, clock, log } = deps;
  const options = { ...defaults, ...given };
  const names = {
    stream: keys.commands(),
    lease: keys.commandsLease(),
    group,
    // A restarted node must not own what it had pending before.
    consumer: `${nodeId}:${randomUUID().slice(0, 8)}`,
  };
  const store = createGroupStore({ commands, blocking }, names, { leaseMs: options.leaseMs, suspectAfter });
  const handle = createHandler(deps, options);
  return createConsumerGroup({ store, handle, clock, log }, { ...options, suspectAfter });
}

function createHandler(deps: StreamConsumerDeps, options: CommandRetryOptions & Pick<StreamConsumerOptions, "limits">) {
  const queues = createJobQueues(createJobRunner(deps.clock, options));
  const parts = { ...deps, warn: createPacedWarnings(deps.log) };

  return (entry: GroupEntry, lease: LeaderLease): Promise<boolean> =>
    new Promise((finish) => {
      const command = readCommand(entry, options.limits);
      const subject = command instanceof Error ? `entry ${entry.id}` : subjectOfCommand(command);
      queues.add(subject, toJob(parts, entry, command, { lease, finish }));
    });
}

/** The command, or why the entry is not one. */
function readCommand(entry: GroupEntry, limits?: Partial<GateLimits>): Command | Error {
  if (entry.deliveries > maxDeliveries)
    return new GatewayError("internal", "Dead-lettered: its consumers crashed repeatedly.");
  const text = textOf(entry);
  if (text === undefined) return new GatewayError("bad_request", "The entry has no field `command`.");
  try {
    return parseCommand(text, limits);
  } catch (error) {
    return error as Error;
  }
}

function textOf({ fields }: GroupEntry): string | undefined {
  const at = fields.findIndex((name, index) => index % 2 === 0 && name === "command");
  return at === -1 ? undefined : fields[at + 1];
}

function toJob(
  { executor, deadLetters, metrics, warn }: StreamConsumerDeps & { warn: PacedWarnings },
  entry: GroupEntry,
  command: Command | Error,
  { lease, finish }: Pick<Job, "lease" | "finish">,
): Job {
  const type = command instanceof Error ? undefined : command.type;
  const count = (outcome: string) => metrics.commands.inc({ type: type ?? "none", outcome });
  const key = `stream:${entry.id}`;

  return {
    type,
    lease,
    finish,
    onRetry: () => count("retried"),
    async perform() {
      if (command instanceof Error) throw command;
      await executor.perform(command, { door: "stream", deliveryKey: key });
      count("performed");
    },
    async deadLetter({ code, reason }, tries) {
      await deadLetters.add({ key, command: textOf(entry) ?? JSON.stringify(entry.fields), code, reason, tries });
      count("dead");
      warn({ entry: entry.id, type, code, tries }, "command dead-lettered");
    },
  };
}
