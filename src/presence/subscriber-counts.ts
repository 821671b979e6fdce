import type { Membership } from "../cluster/membership.ts";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { countsTtlSeconds, type SubscriberCountsStore, type CountsByChannel } from "./subscriber-counts-store.ts";
import { WriteBehind } from "../runtime/write-behind.ts";

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
  /** From the page before. */
  cursor?: string | undefined;
}

/** Channels somebody reads, in order of their names' bytes. */
export interface ChannelPage {
  channels: { channel: string; subscribers: number }[];
  /** Absent on the last page. */
  cursor?: string;
}

/** Within so many milliseconds every node has written what changed. */
const paceMs = 50;
/** For a round that has begun to reach the store. */
const slackMs = 10;
const channelsAtOnce = 500;
/** Due where all channels are; no channel is called so. */
const everything = "";

/** How many subscribers each channel has, on all nodes: counted here, written by each node for itself. */
export class SubscriberCounts {
  readonly #deps: SubscriberCountsDeps;
  readonly #counts = new Map<string, number>();
  readonly #rounds: WriteBehind;
  #writtenAs: string | undefined;
  #mustSayAll = false;
  #cancelRenewal: Cancel | undefined;

  constructor(deps: SubscriberCountsDeps) {
    this.#deps = deps;
    const carry = (channels: readonly string[]): Promise<void> => this.#write(channels);
    this.#rounds = new WriteBehind(
      { ...deps, write: carry },
      { description: "presence", intervalMs: paceMs, batchSize: channelsAtOnce },
    );
  }

  start(): void {
    this.#cancelRenewal = this.#deps.clock.every((countsTtlSeconds / 8) * 1_000, () => this.rewriteAll());
  }

  async stop(): Promise<void> {
    this.#cancelRenewal?.();
    await this.#rounds.stop();
    if (this.#deps.mayWrite()) await this.#deps.store.removeNode(this.#deps.incarnation());
  }

  /** Somebody here subscribed to the channel, or ceased to be. */
  change(channel: string, isSubscribed: boolean): void {
    const count = (this.#counts.get(channel) ?? 0) + (isSubscribed ? 1 : -1);
    if (count === 0) this.#counts.delete(channel);
    else this.#counts.set(channel, count);
    this.#rounds.add(channel);
  }

  /** Everything must be written again: the store may have lost some of it, or this node has another name. */
  rewriteAll(): void {
    this.#mustSayAll = true;
    this.#rounds.add(everything);
  }

  /** A node is dead. */
  forget(node: string): Promise<void> {
    return this.#deps.store.removeNode(node);
  }

  /** What was answered on any node before the call is counted. Store errors as they come. */
  async list({ prefix = "", limit, cursor }: ListQuery): Promise<ChannelPage> {
    if (cursor === undefined) await sleep(this.#deps.clock, paceMs + slackMs);
    await this.#rounds.flush();
    const nodes = await this.#deps.membership.livingNow();
    const range = { prefix, after: cursor, limit: limit + 1 };
    const pages = await Promise.all(nodes.map((node) => this.#deps.store.page(node, range)));
    return pageOf(pages, limit);
  }

  async #write(channels: readonly string[]): Promise<void> {
    const node = this.#deps.incarnation();
    if (this.#mustSayAll || this.#writtenAs !== node) return this.#writeAll(node);
    await this.#deps.store.write(node, this.#countsOf(channels));
  }

  /** Commands of one connection are done in their order: the list is short for no longer than it takes to fill it. */
  async #writeAll(node: string): Promise<void> {
    const { store } = this.#deps;
    const formerNode = new Set([node, this.#writtenAs ?? node]);
    const channels = [...this.#counts.keys()];
    this.#mustSayAll = false;
    try {
      const written = [...formerNode].map((name) => store.removeNode(name));
      for (let start = 0; start < channels.length; start += channelsAtOnce) {
        written.push(store.write(node, this.#countsOf(channels.slice(start, start + channelsAtOnce))));
      }
      await Promise.all(written);
      this.#writtenAs = node;
    } catch (error) {
      this.#mustSayAll = true;
      throw error;
    }
  }

  #countsOf(channels: readonly string[]): CountsByChannel {
    return new Map(channels.map((channel) => [channel, this.#counts.get(channel) ?? 0]));
  }
}

/** Each page holds the first of its node, so the first `limit` of all are known, and whether there are more. */
function pageOf(pages: readonly CountsByChannel[], limit: number): ChannelPage {
  const totals = new Map<string, number>();
  for (const page of pages) for (const [name, count] of page) totals.set(name, (totals.get(name) ?? 0) + count);
  const names = inByteOrder(totals.keys()).slice(0, limit);
  const channels = names.map((channel) => ({ channel, subscribers: totals.get(channel) ?? 0 }));
  const cursor = names.at(-1);
  return totals.size > limit && cursor !== undefined ? { channels, cursor } : { channels };
}

/** The order in which the store keeps names, which is not that of JavaScript's strings. */
function inByteOrder(names: Iterable<string>): string[] {
  const withBytes = [...names].map((name) => ({ name, bytes: Buffer.from(name) }));
  return withBytes.toSorted((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ name }) => name);
}
