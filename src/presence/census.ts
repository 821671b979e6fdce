import type { Roll } from "../cluster/roll.ts";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { renewCensusEveryMs, type CensusStore, type Subscribers } from "./census-store.ts";
import { Rounds } from "./rounds.ts";

export interface CensusDeps {
  store: CensusStore;
  incarnation: () => string;
  /** False while this node has no lease; `sayAll` is called when it has one again. */
  mayWrite: () => boolean;
  roll: Pick<Roll, "livingNow">;
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

/** How many subscribers each channel has, on all nodes: counted here, written by each node for itself. */
export class Census {
  readonly #deps: CensusDeps;
  readonly #counts = new Map<string, number>();
  readonly #rounds: Rounds;
  #writtenAs: string | undefined;
  #cancelRenewal: Cancel | undefined;

  constructor(deps: CensusDeps) {
    this.#deps = deps;
    const carry = (channels: readonly string[]): Promise<void> => this.#write(channels);
    this.#rounds = new Rounds({ ...deps, carry }, { paceMs, atOnce: channelsAtOnce });
  }

  start(): void {
    this.#cancelRenewal = this.#deps.clock.every(renewCensusEveryMs, () => void this.#renew());
  }

  async stop(): Promise<void> {
    this.#cancelRenewal?.();
    await this.#rounds.stop();
    if (this.#deps.mayWrite()) await this.#deps.store.forget(this.#deps.incarnation());
  }

  /** Somebody here subscribed to the channel, or ceased to be. */
  change(channel: string, isSubscribed: boolean): void {
    const count = (this.#counts.get(channel) ?? 0) + (isSubscribed ? 1 : -1);
    if (count === 0) this.#counts.delete(channel);
    else this.#counts.set(channel, count);
    this.#rounds.add(channel);
  }

  /** Everything must be written again: the store may have lost some of it, or this node has another name. */
  sayAll(): void {
    for (const channel of this.#counts.keys()) this.#rounds.add(channel);
  }

  /** A node is dead. */
  forget(node: string): Promise<void> {
    return this.#deps.store.forget(node);
  }

  /** What was answered on any node before the call is counted. Store errors as they come. */
  async list({ prefix = "", limit, cursor }: ListQuery): Promise<ChannelPage> {
    if (cursor === undefined) await sleep(this.#deps.clock, paceMs + slackMs);
    await this.#rounds.run();
    const nodes = await this.#deps.roll.livingNow();
    const range = { prefix, after: cursor, limit: limit + 1 };
    const pages = await Promise.all(nodes.map((node) => this.#deps.store.page(node, range)));
    return pageOf(pages, limit);
  }

  async #write(channels: readonly string[]): Promise<void> {
    const node = this.#deps.incarnation();
    const former = this.#writtenAs;
    await this.#deps.store.write(node, new Map(channels.map((channel) => [channel, this.#counts.get(channel) ?? 0])));
    this.#writtenAs = node;
    if (former !== undefined && former !== node) await this.#deps.store.forget(former);
  }

  async #renew(): Promise<void> {
    const isThere = await this.#deps.store.renew(this.#deps.incarnation()).catch((error: unknown) => {
      this.#deps.log.warn({ reason: String(error) }, "counts of subscribers not renewed");
      return false;
    });
    if (!isThere) this.sayAll();
  }
}

/** Each page holds the first of its node, so the first `limit` of all are known, and whether there are more. */
function pageOf(pages: readonly Subscribers[], limit: number): ChannelPage {
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
