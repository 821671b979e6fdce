import type { RedisClient } from "../redis/connections.ts";

/**
 * Tells gateways with different key prefixes on one Redis apart, because Socket.IO's adapters all use the same channels.
 * Messages of other programs have no tag and are for everybody.
 */
export class ClusterTag {
  readonly #tag: string | undefined;

  /** Without a tag, every message is for this node. */
  constructor(tag: string | undefined) {
    this.#tag = tag;
  }

  /** A broadcast or a request, before it is encoded. */
  mark(message: unknown): unknown {
    if (this.#tag === undefined || typeof message !== "object" || message === null) return message;
    if (!Array.isArray(message)) return { ...message, cluster: this.#tag };
    const [sender, packet, options] = message as [unknown, unknown, object];
    return [sender, packet, { ...options, cluster: this.#tag }];
  }

  /** A request as JSON. */
  markText(json: string): string {
    return this.#tag === undefined ? json : `{"cluster":${JSON.stringify(this.#tag)},${json.slice(1)}`;
  }

  isForeign(message: unknown): boolean {
    const marked: unknown = Array.isArray(message) ? message[2] : message;
    if (this.#tag === undefined || typeof marked !== "object" || marked === null) return false;
    const { cluster } = marked as { cluster?: unknown };
    return cluster !== undefined && cluster !== this.#tag;
  }

  /** Channels on which nothing is published: all gateways subscribe to the first, those of the cluster to the second. */
  markers(requestChannel: string): string[] {
    return this.#tag === undefined ? [] : [`${requestChannel}tidegate#`, `${requestChannel}tidegate#${this.#tag}#`];
  }

  /** Servers that perform our requests: the nodes of the cluster, and stock servers. */
  async countServers(client: RedisClient, requestChannel: string): Promise<number> {
    const [all = 0, gateways = 0, own = 0] = await countSubscribers(client, [
      requestChannel,
      ...this.markers(requestChannel),
    ]);
    return all - (gateways - own);
  }
}

/** Of each channel, on all nodes of a Redis Cluster. */
async function countSubscribers(client: RedisClient, channels: readonly string[]): Promise<number[]> {
  const nodes = "nodes" in client ? client.nodes("master") : [client];
  const replies = (await Promise.all(nodes.map((node) => node.pubsub("NUMSUB", ...channels)))) as (string | number)[][];
  return channels.map((_, index) => replies.reduce((sum, counts) => sum + Number(counts[2 * index + 1]), 0));
}
