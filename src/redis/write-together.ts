import type { Duplex } from "node:stream";
import type { Command, Redis } from "ioredis";

/**
 * Writes the commands of one tick together. ioredis' automatic pipelines do the same at twice the cost per command, and
 * delay commands while a pipeline is in flight.
 *
 * For a single server: on a Cluster ioredis refuses all commands but the first to a node that is still connecting, unless
 * they come in a pipeline.
 */
export function writeTogether(redis: Redis): void {
  const send = redis.sendCommand.bind(redis) as (command: Command, ...rest: unknown[]) => unknown;
  let corked: Duplex | undefined;

  function uncork(): void {
    corked?.uncork();
    corked = undefined;
  }

  redis.sendCommand = (command: Command, ...rest: unknown[]) => {
    // Replaced by each reconnection; undefined before the first connection.
    const { stream } = redis as unknown as { stream?: Duplex };
    if (corked === undefined && stream !== undefined) {
      corked = stream;
      stream.cork();
      setImmediate(uncork);
    }
    return send(command, ...rest);
  };
}
