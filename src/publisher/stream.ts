import type { Command, CommandType } from "../protocol/commands.ts";
import type { Outcome, Transport } from "./transport.ts";

/** What this transport needs of a Redis client; one of ioredis will do. */
export interface StreamRedis {
  xadd(key: string, ...args: string[]): Promise<string | null>;
}

export interface StreamOptions {
  redis: StreamRedis;
  /** The gateway's `KEY_PREFIX`. @default "gateway" */
  prefix?: string;
  /** Milliseconds to wait for Redis: a client that is not connected may keep a command for ever. @default 5000 */
  timeoutMs?: number;
}

/** The stream keeps the command; what becomes of it later shows in the channels, or in the dead letters. */
export type StreamAnswers = Record<CommandType, { entryId: string }>;

/** Over the commands stream in Redis: durable as soon as it is answered, performed a moment later. */
export function overStream({ redis, prefix = "gateway", timeoutMs = 5_000 }: StreamOptions): Transport<StreamAnswers> {
  async function add(command: Command): Promise<Outcome> {
    try {
      const added = redis.xadd(`${prefix}:commands`, "*", "command", JSON.stringify(command));
      const entryId = await within(timeoutMs, added);
      return { ok: true, answer: { entryId } };
    } catch (error) {
      const message = `The command could not be appended to the stream: ${error instanceof Error ? error.message : String(error)}`;
      return { ok: false, failure: { code: "unreachable", message }, mayPass: true };
    }
  }

  return {
    needsKey: isHarmedByRepeat,
    send: (commands) => Promise.all(commands.map(add)),
  };
}

/** The rest know their own repeats: by content, by `sequence` or `eventId`, or because they do no more. */
function isHarmedByRepeat(command: Command): boolean {
  if (command.type === "order.event") return command.sequence === undefined && command.eventId === undefined;
  return command.type === "publish" || command.type === "order.signal" || command.type === "score.submit";
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Redis did not answer within ${ms} ms`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
