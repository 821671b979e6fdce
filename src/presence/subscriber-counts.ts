import type { Membership } from "../cluster/membership.ts";
import {
  addTo,
  emptyNames,
  NodeCounts,
  writeNames,
  type CountWrite,
  type NamedCounts,
} from "../cluster/node-counts.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { countsTtlSeconds, type SubscriberCountsStore, type CountsByChannel } from "./subscriber-counts-store.ts";

export interface SubscriberCountsDeps {
  store: SubscriberCountsStore;
  incarnation: () => string;
  /** False while this node has no lease; `rewriteAll` is called when it has one again. */
  mayWrite: () => boolean;
  membership: Pick<Membership, "livingNow">;
  clock: Clock;
  log: Logger;
}

export interface ListQuery {
  prefix?: string | undefined;
  limit: number;
  /** Cursor of the previous page. */
  cursor?: string | undefined;
}

/** Channels with subscribers, ordered by the bytes of their names. */
export interface ChannelPage {
  channels: { channel: string; subscribers: number }[];
  /** Absent on the last page. */
  cursor?: string;
}

/** Every node has written its changes after this many milliseconds. */
const paceMs = 50;
/** Time for a started write to reach the store. */
const slackMs = 10;
const channelsAtOnce = 500;
/** All channels are counted under one key, because they are listed together. */
const allChannels = "";

/** Subscribers of each channel on all nodes: each node counts its own and writes them. */
export class SubscriberCounts {
  readonly #deps: SubscriberCountsDeps;
  readonly #local: NodeCounts<NamedCounts>;

  constructor(deps: SubscriberCountsDeps) {
    this.#deps = deps;
    const write = (_: string, local: NamedCounts, as: CountWrite): Promise<void> =>
      writeNames(local, as.isWhole, (counts) => this.#write([...counts], as));
    this.#local = new NodeCounts(
      { ...deps, write, create: emptyNames, isEmpty: ({ counts }) => counts.size === 0 },
      { description: "presence", intervalMs: paceMs, batchSize: 1, ttlSeconds: countsTtlSeconds },
    );
  }

  start(): void {
    this.#local.start();
  }

  async stop(): Promise<void> {
    await this.#local.stop();
    if (this.#deps.mayWrite()) await this.#deps.store.removeNode(this.#deps.incarnation());
  }

  rewriteAll(): void {
    this.#local.rewriteAll();
  }

  /** A subscriber on this node joined or left the channel. */
  change(channel: string, isSubscribed: boolean): void {
    const local = this.#local.of(allChannels);
    addTo(local.counts, channel, isSubscribed ? 1 : -1);
    local.dirty.add(channel);
    this.#local.changed(allChannels, local);
  }

  /** A node is dead. */
  forget(node: string): Promise<void> {
    return this.#deps.store.removeNode(node);
  }

  /** Counts everything acknowledged on any node before the call. Rejects with errors of the store. */
  async list({ prefix = "", limit, cursor }: ListQuery): Promise<ChannelPage> {
    if (cursor === undefined) await sleep(this.#deps.clock, paceMs + slackMs);
    await this.#local.flush(allChannels);
    const nodes = await this.#deps.membership.livingNow();
    const range = { prefix, after: cursor, limit: limit + 1 };
    const pages = await Promise.all(nodes.map((node) => this.#deps.store.page(node, range)));
    return pageOf(pages, limit);
  }

  /** Commands of one connection run in order, so the list is incomplete only while it is being filled. */
  async #write(counts: readonly [string, number][], { node, formerNode, isWhole }: CountWrite): Promise<void> {
    const { store } = this.#deps;
    const replaced = isWhole ? [node, formerNode ?? node] : [];
    const written = [...new Set(replaced)].map((name) => store.removeNode(name));
    for (let start = 0; start < counts.length; start += channelsAtOnce)
      written.push(store.write(node, new Map(counts.slice(start, start + channelsAtOnce))));
    await Promise.all(written);
  }
}

/** Each page has the first channels of its node, so the first `limit` of all nodes are known, and whether there are more. */
function pageOf(pages: readonly CountsByChannel[], limit: number): ChannelPage {
  const totals = new Map<string, number>();
  for (const page of pages) for (const [name, count] of page) totals.set(name, (totals.get(name) ?? 0) + count);
  const names = inByteOrder(totals.keys()).slice(0, limit);
  const channels = names.map((channel) => ({ channel, subscribers: totals.get(channel) ?? 0 }));
  const cursor = names.at(-1);
  return totals.size > limit && cursor !== undefined ? { channels, cursor } : { channels };
}

/** The store's order of names, which differs from that of JavaScript's strings. */
function inByteOrder(names: Iterable<string>): string[] {
  const withBytes = [...names].map((name) => ({ name, bytes: Buffer.from(name) }));
  return withBytes.toSorted((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ name }) => name);
}
