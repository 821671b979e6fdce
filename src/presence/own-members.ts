import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Counts } from "./members-change.ts";
import { membersTtlSeconds, type MembersStore } from "./members-store.ts";
import { WriteBehind } from "../runtime/write-behind.ts";

export interface OwnMembersDeps {
  store: Pick<MembersStore, "write" | "renew">;
  /** This node's name; another one where its lease has ended. */
  incarnation: () => string;
  /** False while this node has no lease: nothing may be said under its name. `sayAll` is called when it has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** What this node has to say of one channel. */
interface Standing {
  readonly counts: Map<string, number>;
  /** Of these, the connections that were cut off and are expected back. */
  readonly absent: Map<string, number>;
  /** Users whose count is yet to be said. */
  readonly unsaid: Set<string>;
  mustSayAll: boolean;
  /** The name under which the last write was made. */
  saidAs: string | undefined;
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
export class OwnMembers {
  readonly #deps: OwnMembersDeps;
  readonly #standings = new Map<string, Standing>();
  readonly #rounds: WriteBehind;
  #cancels: Cancel[] = [];

  constructor(deps: OwnMembersDeps) {
    this.#deps = deps;
    const carry = async (channels: readonly string[]): Promise<void> => {
      await Promise.all(channels.map((channel) => this.said(channel)));
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
    const standing = this.#standingOf(channel);
    const count = (standing[list].get(user) ?? 0) + by;
    if (count === 0) standing[list].delete(user);
    else standing[list].set(user, count);
    standing.unsaid.add(user);
    standing.wasIdle = false;
    this.#rounds.add(channel);
  }

  /** Resolves when all that changed before the call has been said, to the revision; rejects where the store is away. */
  async said(channel: string): Promise<number> {
    const standing = this.#standings.get(channel);
    if (standing === undefined) return 0;
    await standing.writing?.catch(() => undefined);
    if (isUnsaid(standing)) await this.#write(channel, standing);
    return standing.revision;
  }

  /** Everything must be said again: the store may have lost some of it, or this node has another name. */
  sayAll(): void {
    for (const [channel, standing] of this.#standings) this.#mustSayAll(channel, standing);
  }

  #mustSayAll(channel: string, standing: Standing): void {
    standing.mustSayAll = true;
    this.#rounds.add(channel);
  }

  #standingOf(channel: string): Standing {
    const known = this.#standings.get(channel);
    if (known !== undefined) return known;
    const standing = nothingSaid();
    this.#standings.set(channel, standing);
    return standing;
  }

  #write(channel: string, standing: Standing): Promise<void> {
    standing.writing ??= this.#say(channel, standing).finally(() => {
      standing.writing = undefined;
    });
    return standing.writing;
  }

  async #say(channel: string, standing: Standing): Promise<void> {
    if (!this.#deps.mayWrite()) throw new Error("Connection is closed.");
    const node = this.#deps.incarnation();
    const former = standing.saidAs === node ? undefined : standing.saidAs;
    const isWhole = standing.mustSayAll || former !== undefined;
    const counts = isWhole ? new Map(standing.counts) : countsOf(standing);
    const absent = absentOf(standing, counts);
    standing.unsaid.clear();
    standing.mustSayAll = false;
    try {
      standing.revision = await this.#deps.store.write(channel, { node, counts, absent, isWhole, former });
      standing.saidAs = node;
    } catch (error) {
      // It may stand or not; counts are absolute, so all is said again.
      standing.mustSayAll = true;
      throw error;
    }
  }

  #sweep(): void {
    for (const [channel, standing] of this.#standings) {
      const isIdle = standing.counts.size === 0 && standing.writing === undefined && !isUnsaid(standing);
      if (isIdle && standing.wasIdle) this.#standings.delete(channel);
      standing.wasIdle = isIdle;
    }
  }

  async #renew(): Promise<void> {
    const standings = [...this.#standings].filter(([, { counts }]) => counts.size > 0);
    for (let start = 0; start < standings.length; start += channelsAtOnce) {
      const slice = standings.slice(start, start + channelsAtOnce);
      await Promise.all(slice.map(([channel, standing]) => this.#renewOne(channel, standing)));
    }
  }

  async #renewOne(channel: string, standing: Standing): Promise<void> {
    const { store, log } = this.#deps;
    const renewed = standing.saidAs === undefined ? false : store.renew(channel, standing.saidAs);
    const isThere = await Promise.resolve(renewed).catch((error: unknown) => {
      log.warn({ err: error }, "renewing presence members failed");
      return false;
    });
    if (!isThere && this.#standings.get(channel) === standing) this.#mustSayAll(channel, standing);
  }
}

const nothingSaid = (): Standing => ({
  counts: new Map(),
  absent: new Map(),
  unsaid: new Set(),
  mustSayAll: false,
  saidAs: undefined,
  revision: 0,
  writing: undefined,
  wasIdle: false,
});

const isUnsaid = ({ unsaid, mustSayAll }: Standing): boolean => mustSayAll || unsaid.size > 0;

const countsOf = ({ unsaid, counts }: Standing): Counts =>
  new Map([...unsaid].map((user) => [user, counts.get(user) ?? 0]));

/** Of the users in `counts`; mostly nobody is. */
function absentOf({ absent }: Standing, counts: Counts): Counts | undefined {
  const among = [...absent].filter(([user]) => counts.has(user));
  return among.length === 0 ? undefined : new Map(among);
}
