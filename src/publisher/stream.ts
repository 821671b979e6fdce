import { partitionOf, subjectOfCommand } from "../protocol/command-subject.ts";
import type { Command, CommandType } from "../protocol/commands.ts";
import type { CommandResult, Transport } from "./transport.ts";

/** The part of a Redis client that is used; ioredis has it. */
export interface StreamRedis {
  xadd(key: string, ...args: string[]): Promise<string | null>;
}

export interface StreamOptions {
  redis: StreamRedis;
  /** The gateway's `KEY_PREFIX`. @default "gateway" */
  prefix?: string;
  /** The gateway's `commands.partitions`. @default 1 */
  partitions?: number;
  /** Timeout in milliseconds; without it a disconnected client might keep a command forever. @default 5000 */
  timeoutMs?: number;
}

/** Id of the stream entry. The command is performed later; if that fails, it is dead-lettered. */
export type StreamAnswers = Record<CommandType, { entryId: string }>;

/** Sends over the commands stream in Redis: durable when it resolves, performed afterwards. */
export function overStream(options: StreamOptions): Transport<StreamAnswers> {
  const { redis, prefix = "gateway", partitions = 1, timeoutMs = 5_000 } = options;

  async function add(command: Command): Promise<CommandResult> {
    try {
      const partition = partitionOf(subjectOfCommand(command), partitions);
      const stream = partition === 0 ? `${prefix}:commands` : `${prefix}:commands:${partition}`;
      const added = redis.xadd(stream, "*", "command", JSON.stringify(command));
      const entryId = await within(timeoutMs, added);
      return { ok: true, answer: { entryId } };
    } catch (error) {
      const message = `The command could not be appended to the stream: ${error instanceof Error ? error.message : String(error)}`;
      return { ok: false, failure: { code: "unreachable", message }, isTemporary: true };
    }
  }

  return {
    needsKey: needsIdempotencyKey,
    send: (commands) => Promise.all(commands.map(add)),
  };
}

/** Others have one effect however often they come: by content, by `sequence` or `eventId`, or by their nature. */
function needsIdempotencyKey(command: Command): boolean {
  if (command.type === "order.event") return command.sequence === undefined && command.eventId === undefined;
  return command.type !== "order.create" && command.type !== "session.revoke";
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis did not answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
