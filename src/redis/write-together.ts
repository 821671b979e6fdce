import type { Duplex } from "node:stream";
import { Cluster, type Command, type Redis } from "ioredis";
import type { RedisClient } from "./connections.ts";

/**
 * Commands that are sent in one turn of the event loop leave in one write for each server. ioredis' automatic pipelines
 * do the same, at twice the cost of a command.
 */
export function writeTogether(client: RedisClient): void {
  if (client instanceof Cluster) client.on("+node", corkTurns);
  else corkTurns(client);
}

function corkTurns(redis: Redis): void {
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
