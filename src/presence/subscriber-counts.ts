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
/** Key of the write of all channels; not a valid channel name. */
const everything = "";

/** Subscribers of each channel on all nodes: each node counts its own and writes them. */
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

  /** A subscriber on this node joined or left the channel. */
  change(channel: string, isSubscribed: boolean): void {
    const count = (this.#counts.get(channel) ?? 0) + (isSubscribed ? 1 : -1);
    if (count === 0) this.#counts.delete(channel);
    else this.#counts.set(channel, count);
    this.#rounds.add(channel);
  }

  /** Writes everything again: the store may have lost some of it, or this node has another name. */
  rewriteAll(): void {
    this.#mustSayAll = true;
    this.#rounds.add(everything);
  }

  /** A node is dead. */
  forget(node: string): Promise<void> {
    return this.#deps.store.removeNode(node);
  }

  /** Counts everything acknowledged on any node before the call. Rejects with errors of the store. */
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

  /** Commands of one connection run in order, so the list is incomplete only while it is being filled. */
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
