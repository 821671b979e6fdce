import type { Duplex } from "node:stream";
import type { Command, Redis } from "ioredis";

/**
 * Commands that are sent in one turn of the event loop leave in one write. ioredis' automatic pipelines do the same, at
 * twice the cost of a command, and hold back what is sent while one of them is under way.
 *
 * For one server. On a Cluster ioredis refuses every command but the first to a node that it is still connecting to,
 * unless they come in a pipeline.
 */
export function writeTogether(redis: Redis): void {
  const send = redis.sendCommand.bind(redis) as (command: Command, ...rest: unknown[]) => unknown;
  let corked: Duplex | undefined;

  function uncork(): void {
    corked?.uncork();
    corked = undefined;
  }

  redis.sendCommand = (command: Command, ...rest: unknown[]) => {
    // Another one after each reconnection, none before the first.
    const { stream } = redis as unknown as { stream?: Duplex };
    if (corked === undefined && stream !== undefined) {
      corked = stream;
      stream.cork();
      setImmediate(uncork);
    }
    return send(command, ...rest);
  };
}
