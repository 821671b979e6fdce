import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Counts } from "./members-change.ts";
import { membersTtlSeconds, type MembersStore } from "./members-store.ts";
import { WriteBehind } from "../runtime/write-behind.ts";

export interface LocalMembersDeps {
  store: Pick<MembersStore, "write" | "renew">;
  /** This node's name; another one where its lease has ended. */
  incarnation: () => string;
  /** False while this node has no lease: nothing may be said under its name. `rewriteAll` is called when it has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** What this node has to say of one channel. */
interface LocalChannelMembers {
  readonly counts: Map<string, number>;
  /** Of these, the connections that were cut off and are expected back. */
  readonly absent: Map<string, number>;
  /** Users whose count is yet to be said. */
  readonly dirty: Set<string>;
  mustRewrite: boolean;
  /** The name under which the last write was made. */
  writtenAs: string | undefined;
  /** Of the last write. */
  revision: number;
  writing: Promise<void> | undefined;
  /** There was nothing to say at the last sweep. */
  wasIdle: boolean;
}

const paceMs = 10;
const channelsAtOnce = 200;
const renewEveryMs = (membersTtlSeconds / 8) * 1_000;
/** So long it is known that nobody is left: a store that lost its last seconds is told so again. */
const sweepEveryMs = 60_000;

/**
 * What this node says of its own members: counts kept here, written to the store a moment after they change, one write
 * at a time for a channel, and said again where the store may have lost them or this node its name.
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

  /** A connection of the user began or ceased to stand in the channel. */
  change(channel: string, user: string, by: 1 | -1): void {
    this.#add("counts", channel, user, by);
  }

  /** A connection of the user that still counts was cut off, or is expected no more. */
  changeAbsent(channel: string, user: string, by: 1 | -1): void {
    this.#add("absent", channel, user, by);
  }

  #add(list: "counts" | "absent", channel: string, user: string, by: 1 | -1): void {
    const local = this.#ofChannel(channel);
    const count = (local[list].get(user) ?? 0) + by;
    if (count === 0) local[list].delete(user);
    else local[list].set(user, count);
    local.dirty.add(user);
    local.wasIdle = false;
    this.#rounds.add(channel);
  }

  /** Resolves when all that changed before the call has been said, to the revision; rejects where the store is away. */
  async flushed(channel: string): Promise<number> {
    const local = this.#localMembers.get(channel);
    if (local === undefined) return 0;
    await local.writing?.catch(() => undefined);
    if (isUnsaid(local)) await this.#write(channel, local);
    return local.revision;
  }

  /** Everything must be said again: the store may have lost some of it, or this node has another name. */
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
    local.dirty.clear();
    local.mustRewrite = false;
    try {
      local.revision = await this.#deps.store.write(channel, { node, counts, absent, isWhole, formerNode });
      local.writtenAs = node;
    } catch (error) {
      // It may stand or not; counts are absolute, so all is said again.
      local.mustRewrite = true;
      throw error;
    }
  }

  #sweep(): void {
    for (const [channel, local] of this.#localMembers) {
      const isIdle = local.counts.size === 0 && local.writing === undefined && !isUnsaid(local);
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

const isUnsaid = ({ dirty: unsaid, mustRewrite: mustSayAll }: LocalChannelMembers): boolean =>
  mustSayAll || unsaid.size > 0;

const countsOf = ({ dirty: unsaid, counts }: LocalChannelMembers): Counts =>
  new Map([...unsaid].map((user) => [user, counts.get(user) ?? 0]));

/** Of the users in `counts`; mostly nobody is. */
function absentOf({ absent }: LocalChannelMembers, counts: Counts): Counts | undefined {
  const among = [...absent].filter(([user]) => counts.has(user));
  return among.length === 0 ? undefined : new Map(among);
}
