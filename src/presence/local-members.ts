import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Counts, Details, MemberDetail } from "./members-change.ts";
import { membersTtlSeconds, type MembersStore } from "./members-store.ts";
import { WriteBehind } from "../runtime/write-behind.ts";

export interface LocalMembersDeps {
  store: Pick<MembersStore, "write" | "renew">;
  /** What is shown of a user on this node. */
  detailOf: (channel: string, user: string) => MemberDetail | undefined;
  /** This node's name, which changes when its lease ends. */
  incarnation: () => string;
  /** False without a lease: nothing may be written under the node's name. `rewriteAll` is called when it has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** This node's members of one channel. */
interface LocalChannelMembers {
  readonly counts: Map<string, number>;
  /** Of these, connections that were cut off and may return. */
  readonly absent: Map<string, number>;
  /** Users whose count is not written yet. */
  readonly dirty: Set<string>;
  mustRewrite: boolean;
  /** The name under which the last write was made. */
  writtenAs: string | undefined;
  /** Revision of the last write. */
  revision: number;
  writing: Promise<void> | undefined;
  /** Nothing had to be written at the last sweep. */
  wasIdle: boolean;
}

const paceMs = 10;
const channelsAtOnce = 200;
const renewEveryMs = (membersTtlSeconds / 8) * 1_000;
/** So long it is known that nobody is left: a store that lost its last seconds is told so again. */
const sweepEveryMs = 60_000;

/**
 * The members on this node: counts in memory, written to the store shortly after they change, one write at a time per channel,
 * and written again if the store may have lost them or the node's name changed.
 */
export class LocalMembers {
  readonly #deps: LocalMembersDeps;
  readonly #localMembers = new Map<string, LocalChannelMembers>();
  readonly #rounds: WriteBehind;
  #cancels: Cancel[] = [];

  constructor(deps: LocalMembersDeps) {
    this.#deps = deps;
    const carry = async (channels: readonly string[]): Promise<void> => {
      await Promise.all(channels.map((channel) => this.flushed(channel)));
    };
    this.#rounds = new WriteBehind(
      { ...deps, write: carry },
      { description: "presence", intervalMs: paceMs, batchSize: channelsAtOnce },
    );
  }

  start(): void {
    const { clock } = this.#deps;
    this.#cancels = [
      clock.every(renewEveryMs, () => void this.#renew()),
      clock.every(sweepEveryMs, () => this.#sweep()),
    ];
  }

  stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    return this.#rounds.stop();
  }

  /** A connection of the user joined or left the channel. */
  change(channel: string, user: string, by: 1 | -1): void {
    this.#add("counts", channel, user, by);
  }

  /** What is shown of the user has changed. */
  changeDetail(channel: string, user: string): void {
    this.#add("counts", channel, user, 0);
  }

  /** A connection that still counts was cut off, or is no longer expected to return. */
  changeAbsent(channel: string, user: string, by: 1 | -1): void {
    this.#add("absent", channel, user, by);
  }

  #add(list: "counts" | "absent", channel: string, user: string, by: 1 | -1 | 0): void {
    const local = this.#ofChannel(channel);
    const count = (local[list].get(user) ?? 0) + by;
    if (count === 0) local[list].delete(user);
    else local[list].set(user, count);
    local.dirty.add(user);
    local.wasIdle = false;
    this.#rounds.add(channel);
  }

  /** Resolves to the revision when all earlier changes are written; rejects if the store is unreachable. */
  async flushed(channel: string): Promise<number> {
    const local = this.#localMembers.get(channel);
    if (local === undefined) return 0;
    await local.writing?.catch(() => undefined);
    if (isDirty(local)) await this.#write(channel, local);
    return local.revision;
  }

  /** Writes everything again: the store may have lost some of it, or this node has another name. */
  rewriteAll(): void {
    for (const [channel, local] of this.#localMembers) this.#mustSayAll(channel, local);
  }

  #mustSayAll(channel: string, local: LocalChannelMembers): void {
    local.mustRewrite = true;
    this.#rounds.add(channel);
  }

  #ofChannel(channel: string): LocalChannelMembers {
    const known = this.#localMembers.get(channel);
    if (known !== undefined) return known;
    const local = nothingSaid();
    this.#localMembers.set(channel, local);
    return local;
  }

  #write(channel: string, local: LocalChannelMembers): Promise<void> {
    local.writing ??= this.#say(channel, local).finally(() => {
      local.writing = undefined;
    });
    return local.writing;
  }

  async #say(channel: string, local: LocalChannelMembers): Promise<void> {
    if (!this.#deps.mayWrite()) throw new Error("Connection is closed.");
    const node = this.#deps.incarnation();
    const formerNode = local.writtenAs === node ? undefined : local.writtenAs;
    const isWhole = local.mustRewrite || formerNode !== undefined;
    const counts = isWhole ? new Map(local.counts) : countsOf(local);
    const absent = absentOf(local, counts);
    const details = this.#detailsOf(channel, counts);
    local.dirty.clear();
    local.mustRewrite = false;
    try {
      local.revision = await this.#deps.store.write(channel, { node, counts, absent, details, isWhole, formerNode });
      local.writtenAs = node;
    } catch (error) {
      // It may have been applied or not; counts are absolute, so everything is written again.
      local.mustRewrite = true;
      throw error;
    }
  }

  #detailsOf(channel: string, counts: Counts): Details | undefined {
    const details = new Map<string, MemberDetail>();
    for (const [user, count] of counts) {
      const detail = count === 0 ? undefined : this.#deps.detailOf(channel, user);
      if (detail !== undefined) details.set(user, detail);
    }
    return details.size === 0 ? undefined : details;
  }

  #sweep(): void {
    for (const [channel, local] of this.#localMembers) {
      const isIdle = local.counts.size === 0 && local.writing === undefined && !isDirty(local);
      if (isIdle && local.wasIdle) this.#localMembers.delete(channel);
      local.wasIdle = isIdle;
    }
  }

  async #renew(): Promise<void> {
    const localMembers = [...this.#localMembers].filter(([, { counts }]) => counts.size > 0);
    for (let start = 0; start < localMembers.length; start += channelsAtOnce) {
      const slice = localMembers.slice(start, start + channelsAtOnce);
      await Promise.all(slice.map(([channel, local]) => this.#renewOne(channel, local)));
    }
  }

  async #renewOne(channel: string, local: LocalChannelMembers): Promise<void> {
    const { store, log } = this.#deps;
    const renewed = local.writtenAs === undefined ? false : store.renew(channel, local.writtenAs);
    const isThere = await Promise.resolve(renewed).catch((error: unknown) => {
      log.warn({ err: error }, "renewing presence members failed");
      return false;
    });
    if (!isThere && this.#localMembers.get(channel) === local) this.#mustSayAll(channel, local);
  }
}

const nothingSaid = (): LocalChannelMembers => ({
  counts: new Map(),
  absent: new Map(),
  dirty: new Set(),
  mustRewrite: false,
  writtenAs: undefined,
  revision: 0,
  writing: undefined,
  wasIdle: false,
});

const isDirty = ({ dirty, mustRewrite }: LocalChannelMembers): boolean => mustRewrite || dirty.size > 0;

const countsOf = ({ dirty, counts }: LocalChannelMembers): Counts =>
  new Map([...dirty].map((user) => [user, counts.get(user) ?? 0]));

/** Of the users in `counts`; usually empty. */
function absentOf({ absent }: LocalChannelMembers, counts: Counts): Counts | undefined {
  const among = [...absent].filter(([user]) => counts.has(user));
  return among.length === 0 ? undefined : new Map(among);
}
