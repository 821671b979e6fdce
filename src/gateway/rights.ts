import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import type { RedisAddress } from "../redis/addresses.ts";
import type { RedisClient } from "../redis/connections.ts";
import { diagnosisOf, isDenied } from "../redis/outage.ts";

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

const refusesWrites = /^(?:OOM|NOREPLICAS|MISCONF|READONLY) /;

/** Rethrows a startup error; if Redis refused a command it becomes a ConfigError that says which, where, and what to do. */
export function explainRefusal(error: unknown, { redis }: Config): never {
  const { message, command } = Object(error) as { message?: string; command?: { name: string } };
  const name = redis?.topology === "sentinel" ? "REDIS_SENTINELS" : "REDIS_URL";
  const what = command === undefined ? "" : ` for ${command.name.toUpperCase()}`;
  const at = redis === undefined ? "" : ` at ${hostsOf(redis)}`;
  const remedy = refusesWrites.test(message ?? "") ? diagnosisOf(message)?.remedy : undefined;
  if (remedy !== undefined)
    throw new ConfigError([{ name, message: `Redis${at} refuses writes, ${message}: ${remedy}` }]);
  if (!isDenied(error)) throw error;
  const text = `the Redis user lacks permissions${what}${at}: ${message} (see docs/settings.md for its ACL rule)`;
  throw new ConfigError([{ name, message: text }]);
}

/** Without user and password. */
function hostsOf(address: RedisAddress): string {
  if (address.topology === "sentinel") return `the primary ${address.name}`;
  const urls = address.topology === "cluster" ? address.urls : [address.url];
  return urls
    .map((url) => new URL(url))
    .map(({ host, pathname }) => host || pathname)
    .join(", ");
}
