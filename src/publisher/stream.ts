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
}

/** The stream keeps the command; what becomes of it later shows in the channels, or in the dead letters. */
export type StreamAnswers = Record<CommandType, { entryId: string }>;

/** Over the commands stream in Redis: durable as soon as it is answered, performed a moment later. */
export function overStream({ redis, prefix = "gateway" }: StreamOptions): Transport<StreamAnswers> {
  async function add(command: Command): Promise<Outcome> {
    try {
      const entryId = await redis.xadd(`${prefix}:commands`, "*", "command", JSON.stringify(command));
      return { ok: true, answer: { entryId } };
    } catch (error) {
      const message = `The command could not be left: ${error instanceof Error ? error.message : String(error)}`;
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
