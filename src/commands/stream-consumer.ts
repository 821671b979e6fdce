import { randomUUID } from "node:crypto";
import { subjectOfCommand } from "../protocol/command-subject.ts";
import type { Command } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { GateLimits } from "../protocol/gate.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createConsumerGroup, type ConsumerGroup } from "../redis/queues/consumer-group.ts";
import { createGroupStore, type GroupEntry } from "../redis/queues/group-store.ts";
import type { Keys } from "../redis/keys.ts";
import type { LeaderLease } from "../redis/leader-lease.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings, type PacedWarnings } from "../runtime/paced-warnings.ts";
import { createJobRunner, type Job, type CommandRetryOptions } from "./job-runner.ts";
import { parseCommand } from "./commands.ts";
import type { DeadCommandStore } from "./dead-command-store.ts";
import { createJobQueues } from "./job-queues.ts";
import type { CommandExecutor } from "./command-executor.ts";

/**
 * Performs the commands of the stream `<prefix>:commands`, which are durable, and those of its other partitions
 * `<prefix>:commands:1`, `:2` and so on.
 *
 * Each is performed at least once and has its effect once: the id of the entry is its idempotency key. Commands of one
 * subject (an order, a channel, a member of a board, a user) take effect in the order of the stream, no matter how many
 * nodes run: one node at a time reads (`redis/queues/consumer-group.ts`) and has a queue per subject. A command that cannot be
 * performed becomes a dead letter with its reason: at once if it is malformed or refused, after `tries` attempts if it
 * might have succeeded. A command that waits for its next attempt delays only its own subject.
 *
 * Backends choose the partition by the subject (`protocol/command-subject.ts`). Each has its own leader, and the living
 * nodes take turns to lead, so that partitions are performed by as many nodes.
 */
export interface StreamConsumerOptions extends Partial<CommandRetryOptions> {
  /** Duration of the leader lease in milliseconds. @default 2000 */
  leaseMs?: number;
  /** Max entries of each partition that are being performed. @default 1024 */
  maxInFlight?: number;
  /** @default 1 */
  partitions?: number;
  /** Bounds of a command's text. */
  limits?: Partial<GateLimits>;
}

export interface StreamConsumerDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  /** A connection of its own for the blocking reads of each partition. */
  blocking: (partition: number) => RedisClient;
  /** Whether it is this node's turn to lead a partition. */
  isTurn: (partition: number) => boolean;
  keys: Keys;
  nodeId: string;
  executor: CommandExecutor;
  deadLetters: Pick<DeadCommandStore, "add">;
  clock: Clock;
  log: Logger;
  metrics: Pick<Metrics, "commands">;
}

export const consumerDefaults = {
  tries: 5,
  firstPauseMs: 100,
  longestPauseMs: 5_000,
  leaseMs: 2_000,
  maxInFlight: 1_024,
  partitions: 1,
};

type ConsumerOptions = typeof consumerDefaults & StreamConsumerOptions;

const group = "gateway";
/** Crashes of consumers with an entry pending, after which it is performed alone. */
const suspectAfter = 3;
/** Max deliveries; an entry with more is assumed to crash its consumers. */
const maxDeliveries = suspectAfter + 3;

export function createStreamConsumer(deps: StreamConsumerDeps, given: StreamConsumerOptions = {}): ConsumerGroup {
  const options = { ...consumerDefaults, ...given };
  const partitions = Array.from({ length: options.partitions }, (_, n) => createPartition(deps, options, n));
  return {
    start: () => partitions.forEach((partition) => partition.start()),
    stop: async () => void (await Promise.all(partitions.map((partition) => partition.stop()))),
  };
}

function createPartition(deps: StreamConsumerDeps, options: ConsumerOptions, partition: number): ConsumerGroup {
  const { commands, keys, nodeId, clock, log } = deps;
  const names = {
    stream: keys.commands(partition),
    lease: keys.commandsLease(partition),
    claim: keys.commandsClaim(partition),
    group,
    // A restarted node must not own what it had pending before.
    consumer: `${nodeId}:${randomUUID().slice(0, 8)}`,
  };
  const isOnly = options.partitions === 1;
  const blocking = deps.blocking(partition);
  const claims = (): boolean => !isOnly && deps.isTurn(partition);
  const store = createGroupStore({ commands, blocking }, names, { leaseMs: options.leaseMs, suspectAfter, claims });
  const isPreferred = (): boolean => isOnly || deps.isTurn(partition);
  const handle = createHandler(deps, options, partition);
  return createConsumerGroup({ store, handle, isPreferred, clock, log }, { ...options, suspectAfter });
}

/** The living nodes take turns to lead the partitions. */
export function isTurnOf(node: string, living: readonly string[], partition: number): boolean {
  return living.toSorted()[partition % living.length] === node;
}

function createHandler(deps: StreamConsumerDeps, options: ConsumerOptions, partition: number) {
  const queues = createJobQueues(createJobRunner(deps.clock, options));
  const parts = { ...deps, partition, warn: createPacedWarnings(deps.log) };

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
  if (text === undefined) return new GatewayError("bad_request", "The entry must have the field `command`, once.");
  try {
    return parseCommand(text, limits);
  } catch (error) {
    return error as Error;
  }
}

/** Undefined if there is none, or more than one. */
function textOf({ fields }: GroupEntry): string | undefined {
  const texts = fields.filter((_, index) => index % 2 === 1 && fields[index - 1] === "command");
  return texts.length === 1 ? texts[0] : undefined;
}

function toJob(
  { executor, deadLetters, metrics, partition, warn }: StreamConsumerDeps & { partition: number; warn: PacedWarnings },
  entry: GroupEntry,
  command: Command | Error,
  { lease, finish }: Pick<Job, "lease" | "finish">,
): Job {
  const type = command instanceof Error ? undefined : command.type;
  const count = (outcome: string) => metrics.commands.inc({ type: type ?? "none", outcome });
  // Ids are unique within a partition.
  const key = partition === 0 ? `stream:${entry.id}` : `stream:${partition}:${entry.id}`;

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
