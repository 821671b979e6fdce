import {
  addTo,
  emptyNames,
  NodeCounts,
  writeNames,
  type CountWrite,
  type NamedCounts,
} from "../cluster/node-counts.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Counts, Details, MemberDetail } from "./members-change.ts";
import { membersTtlSeconds, type MembersStore } from "./members-store.ts";

export interface LocalMembersDeps {
  store: Pick<MembersStore, "write">;
  /** What is shown of a user on this node. */
  detailOf: (channel: string, user: string) => MemberDetail | undefined;
  incarnation: () => string;
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** This node's members of one channel. */
interface LocalChannelMembers extends NamedCounts {
  /** Of these, connections that were cut off and may return. */
  readonly absent: Map<string, number>;
}

/** The members on this node, by channel and user. */
export class LocalMembers {
  readonly #deps: LocalMembersDeps;
  readonly #channels: NodeCounts<LocalChannelMembers>;

  constructor(deps: LocalMembersDeps) {
    this.#deps = deps;
    const write = this.#write.bind(this);
    this.#channels = new NodeCounts<LocalChannelMembers>(
      {
        ...deps,
        write,
        create: () => ({ ...emptyNames(), absent: new Map() }),
        isEmpty: ({ counts }) => counts.size === 0,
      },
      { description: "presence", intervalMs: 10, batchSize: 200, ttlSeconds: membersTtlSeconds },
    );
  }

  start(): void {
    this.#channels.start();
  }

  stop(): Promise<void> {
    return this.#channels.stop();
  }

  rewriteAll(): void {
    this.#channels.rewriteAll();
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

  /** Resolves when all earlier changes are written; rejects if the store is unreachable. */
  flushed(channel: string): Promise<void> {
    return this.#channels.flush(channel);
  }

  #add(list: "counts" | "absent", channel: string, user: string, by: 1 | -1 | 0): void {
    const local = this.#channels.of(channel);
    addTo(local[list], user, by);
    local.dirty.add(user);
    this.#channels.changed(channel, local);
  }

  #write(channel: string, local: LocalChannelMembers, as: CountWrite): Promise<void> {
    return writeNames(local, as.isWhole, (counts) => {
      const absent = absentOf(local, counts);
      return this.#deps.store.write(channel, { ...as, counts, absent, details: this.#detailsOf(channel, counts) });
    });
  }

  #detailsOf(channel: string, counts: Counts): Details | undefined {
    const details = new Map<string, MemberDetail>();
    for (const [user, count] of counts) {
      const detail = count === 0 ? undefined : this.#deps.detailOf(channel, user);
      if (detail !== undefined) details.set(user, detail);
    }
    return details.size === 0 ? undefined : details;
  }
}

/** Of the users in `counts`; usually empty. */
function absentOf({ absent }: LocalChannelMembers, counts: Counts): Counts | undefined {
  const among = [...absent].filter(([user]) => counts.has(user));
  return among.length === 0 ? undefined : new Map(among);
}

/** What is shown of the connections on this node: by channel, user and connection. Those without anything are left out. */
export class LocalDetails {
  readonly #channels = new Map<string, Map<string, Map<string, MemberDetail>>>();

  /** A connection that changes comes last. */
  set(channel: string, user: string, connectionId: string, detail: MemberDetail): void {
    const users = this.#channels.get(channel) ?? new Map<string, Map<string, MemberDetail>>();
    const connections = users.get(user) ?? new Map<string, MemberDetail>();
    connections.delete(connectionId);
    if (detail.info !== undefined || detail.data !== undefined) connections.set(connectionId, detail);
    if (connections.size === 0) users.delete(user);
    else users.set(user, connections);
    if (users.size === 0) this.#channels.delete(channel);
    else this.#channels.set(channel, users);
  }

  get(channel: string, user: string, connectionId: string): MemberDetail | undefined {
    return this.#channels.get(channel)?.get(user)?.get(connectionId);
  }

  /** What is shown of the user: the latest data and information of any connection. */
  of(channel: string, user: string): MemberDetail | undefined {
    let latest: MemberDetail | undefined;
    for (const { info = latest?.info, data, at } of this.#channels.get(channel)?.get(user)?.values() ?? [])
      latest = data === undefined ? { info, data: latest?.data, at: latest?.at ?? 0 } : { info, data, at };
    return latest;
  }
}
