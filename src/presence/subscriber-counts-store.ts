import { writeCountScript } from "../cluster/node-counts.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/** Subscribers by channel. */
export type CountsByChannel = ReadonlyMap<string, number>;

/** A range of channel names: those that start with `prefix`, after `after`. */
export interface ChannelRange {
  prefix: string;
  after: string | undefined;
  limit: number;
}

/**
 * Subscribers of each channel on each node, in Redis: a list and counts per node, written only by that node. A page of one node
 * is read atomically. Entries of a dead node remain until `forget`, or for two days.
 */
export interface SubscriberCountsStore {
  /** Absolute counts; 0 removes a channel from the list. */
  write(node: string, subscribers: CountsByChannel): Promise<void>;
  /** Ordered by the bytes of the names. */
  page(node: string, range: ChannelRange): Promise<CountsByChannel>;
  removeNode(node: string): Promise<void>;
}

/** TTL of a node's entries unless they are written again, in seconds. */
export const countsTtlSeconds = 2 * 86_400;

export function createSubscriberCountsStore({
  commands,
  keys,
}: {
  commands: RedisClient;
  keys: Keys;
}): SubscriberCountsStore {
  const writeScript = loadScript(commands, new URL("./write-channels.lua", import.meta.url), [writeCountScript]);
  const pageScript = loadScript(commands, new URL("./page-channels.lua", import.meta.url));
  const keysOf = (node: string): [string, string] => [keys.nodeChannels(node), keys.nodeChannelCounts(node)];

  return {
    async write(node, subscribers) {
      await writeScript.run(keysOf(node), [countsTtlSeconds, ...[...subscribers].flat()]);
    },

    async page(node, { prefix, after, limit }) {
      const flat = (await pageScript.run(keysOf(node), [lowerEnd(prefix, after), upperEnd(prefix), limit])) as string[];
      return new Map(pairsOf(flat).map(([channel, count]) => [channel, Number(count)]));
    },

    async removeNode(node) {
      await commands.unlink(...keysOf(node));
    },
  };
}

/** Names are compared byte by byte, as in Redis. */
function lowerEnd(prefix: string, after: string | undefined): string {
  const isBeyond = after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0;
  return isBeyond ? `(${after}` : `[${prefix}`;
}

/** UTF-8 has no byte 255, so every name with the prefix sorts before the prefix followed by that byte. */
function upperEnd(prefix: string): string | Buffer {
  return prefix === "" ? "+" : Buffer.concat([Buffer.from(`(${prefix}`), Buffer.from([0xff])]);
}
