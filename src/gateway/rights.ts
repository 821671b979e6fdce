import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import type { RedisClient } from "../redis/connections.ts";
import { isDenied } from "../redis/outage.ts";

/** Subscribed by the Socket.IO adapter. Redis compares patterns with ACL rules literally. */
const adapterChannels = [{ name: "REDIS_URL", channel: "socket.io#/#*" }];

/** Throws ConfigError with every pub/sub channel that the Redis user may not subscribe to; Redis does not name them. */
export async function checkChannelRights({ bridges }: Config, subscriber: RedisClient): Promise<void> {
  const wanted = bridges.map(({ pattern }, index) => ({ name: `bridges[${index}].pattern`, channel: pattern }));
  const denied: typeof wanted = [];
  for (const one of [...adapterChannels, ...wanted]) {
    try {
      await subscriber.psubscribe(one.channel);
    } catch (error) {
      if (!isDenied(error)) throw error;
      denied.push(one);
    }
  }
  await subscriber.punsubscribe();
  if (denied.length > 0)
    throw new ConfigError(denied.map(({ name, channel }) => ({ name, message: lacking(channel) })));
}

const lacking = (channel: string): string =>
  `the Redis user may not subscribe to ${channel}: add &${channel} to its ACL rule (see docs/settings.md)`;

/** Rethrows a startup error; a missing Redis permission becomes a ConfigError that names it. */
export function explainDenial(error: unknown): never {
  if (!isDenied(error)) throw error;
  const { message, command } = error as Error & { command?: { name: string } };
  const what = command === undefined ? "" : ` for ${command.name.toUpperCase()}`;
  throw new ConfigError([
    {
      name: "REDIS_URL",
      message: `the Redis user lacks permissions${what}: ${message} (see docs/settings.md for its ACL rule)`,
    },
  ]);
}
