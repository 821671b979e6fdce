import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/** Subscribers by channel. */
export type CountsByChannel = ReadonlyMap<string, number>;

/** A part of the channels, by name: those that begin with `prefix`, behind `after`. */
export interface ChannelRange {
  prefix: string;
  after: string | undefined;
  limit: number;
}

/**
 * How many subscribers each channel has on each node, in Redis: a list and counts for every node, which that node alone
 * writes. A page of one node is read in one step. What a dead node wrote stays until `forget`, or for two days.
 */
export interface SubscriberCountsStore {
  /** Absolute counts; 0 takes a channel off the list. */
  write(node: string, subscribers: CountsByChannel): Promise<void>;
  /** In order of the names' bytes. */
  page(node: string, range: ChannelRange): Promise<CountsByChannel>;
  removeNode(node: string): Promise<void>;
}

/** Seconds that what a node wrote is kept without being written again. */
export const countsTtlSeconds = 2 * 86_400;

export function createSubscriberCountsStore({
  commands,
  keys,
}: {
  commands: RedisClient;
  keys: Keys;
}): SubscriberCountsStore {
  const writeScript = loadScript(commands, new URL("./write-channels.lua", import.meta.url));
  const pageScript = loadScript(commands, new URL("./page-channels.lua", import.meta.url));
  const keysOf = (node: string): [string, string] => [keys.nodeChannels(node), keys.nodeChannelCounts(node)];

  return {
    async write(node, subscribers) {
      await writeScript.run(keysOf(node), [countsTtlSeconds, ...[...subscribers].flat()]);
    },

    async page(node, { prefix, after, limit }) {
      const flat = (await pageScript.run(keysOf(node), [lowerEnd(prefix, after), upperEnd(prefix), limit])) as string[];
      const subscribers = new Map<string, number>();
      for (let i = 0; i + 1 < flat.length; i += 2) subscribers.set(flat[i] as string, Number(flat[i + 1]));
      return subscribers;
    },

    async removeNode(node) {
      await commands.unlink(...keysOf(node));
    },
  };
}

/** Names are compared byte by byte, as Redis does. */
function lowerEnd(prefix: string, after: string | undefined): string {
  const isBeyond = after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0;
  return isBeyond ? `(${after}` : `[${prefix}`;
}

/** No text in UTF-8 has a byte 255, so every name with the prefix is before the prefix and that byte. */
function upperEnd(prefix: string): string | Buffer {
  return prefix === "" ? "+" : Buffer.concat([Buffer.from(`(${prefix}`), Buffer.from([0xff])]);
}
