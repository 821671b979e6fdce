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
import { createRunner, type Job, type RunOptions } from "./command-runs.ts";
import { parseCommand, subjectOfCommand } from "./commands.ts";
import type { DeadCommandStore } from "./dead-command-store.ts";
import { createLanes } from "./lanes.ts";
import type { CommandExecutor } from "./command-executor.ts";

/**
 * The durable door: the stream `<prefix>:commands`, where backends leave commands.
 *
 * Each is performed at least once and has its effect once: an entry's id is the key by which the effect knows a repeat.
 * Commands of one subject (an order, a channel, a member of a board, a user) take effect in the stream's order, however
 * many nodes run: one node at a time reads (`redis/consumer-group.ts`) and keeps a lane per subject. What cannot be
 * performed becomes a dead letter with its reason: at once where it is malformed or refused, after `tries` where it
 * might have succeeded. A command that is waiting to be tried again holds up its own lane and no other.
 */
export interface StreamConsumerOptions extends Partial<RunOptions> {
  /** Milliseconds after which another node takes over from one that is heard of no more. @default 2000 */
  leaseMs?: number;
  /** Entries read and not yet done with. @default 1024 */
  maxInFlight?: number;
  /** Of a command's text. */
  limits?: Partial<GateLimits>;
}

export interface StreamConsumerDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  /** A connection of its own: it spends its time in blocking reads. */
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
/** Deaths of nodes that hold an entry, after which it is handled alone. */
const suspectAfter = 3;
/** Deliveries after which an entry is taken to be what kills the nodes. */
const mostDeliveries = suspectAfter + 3;

export function createStreamConsumer(deps: StreamConsumerDeps, given: StreamConsumerOptions = {}): ConsumerGroup {
  const { commands, blocking, keys, nodeId, clock, log } = deps;
  const options = { ...defaults, ...given };
  const names = {
    stream: keys.commands(),
    lease: keys.commandsLease(),
    group,
    // A node that comes back under its name must not hold what it held before it died.
    consumer: `${nodeId}:${randomUUID().slice(0, 8)}`,
  };
  const store = createGroupStore({ commands, blocking }, names, { leaseMs: options.leaseMs, suspectAfter });
  const handle = createHandler(deps, options);
  return createConsumerGroup({ store, handle, clock, log }, { ...options, suspectAfter });
}

function createHandler(deps: StreamConsumerDeps, options: RunOptions & Pick<StreamConsumerOptions, "limits">) {
  const lanes = createLanes(createRunner(deps.clock, options));
  const parts = { ...deps, warn: createPacedWarnings(deps.log) };

  return (entry: GroupEntry, turn: LeaderLease): Promise<boolean> =>
    new Promise((finish) => {
      const command = readCommand(entry, options.limits);
      const lane = command instanceof Error ? `entry ${entry.id}` : subjectOfCommand(command);
      lanes.add(lane, toJob(parts, entry, command, { turn, finish }));
    });
}

/** The command, or why there is none. */
function readCommand(entry: GroupEntry, limits?: Partial<GateLimits>): Command | Error {
  if (entry.deliveries > mostDeliveries)
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
  { turn, finish }: Pick<Job, "turn" | "finish">,
): Job {
  const type = command instanceof Error ? undefined : command.type;
  const count = (outcome: string) => metrics.commands.inc({ type: type ?? "none", outcome });
  const key = `stream:${entry.id}`;

  return {
    type,
    turn,
    finish,
    onRetry: () => count("retried"),
    async perform() {
      if (command instanceof Error) throw command;
      await executor.perform(command, { door: "stream", deliveryKey: key });
      count("performed");
    },
    async bury({ code, reason }, tries) {
      await deadLetters.add({ key, command: textOf(entry) ?? JSON.stringify(entry.fields), code, reason, tries });
      count("dead");
      warn({ entry: entry.id, type, code, tries }, "command dead-lettered");
    },
  };
}
