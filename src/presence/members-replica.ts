import type { Counts, Details, MemberDetail, StoredMembers, MembersChange } from "./members-change.ts";

/** How a change relates to the replica's revision. */
export type ChangePlacement = "next" | "repeat" | "gap";

/** A user and the number of its connections in the channel, over all nodes; 0 if it has left. */
export interface Member {
  userId: string;
  connections: number;
  /** The public part of the user's session. */
  info?: unknown;
  /** What one of the user's connections has set. */
  data?: unknown;
}

/** A member as it was before it changed. */
interface NotifiedMember {
  connections: number;
  /** `info` and `data` as JSON. */
  detail: string;
}

/** Changes in absolute counts: applying them in any order, more than once, gives the current members. */
export interface MembersDiff {
  joined: Member[];
  left: Member[];
  updated: Member[];
}

/**
 * One node's replica of a channel's members, by the node that wrote them, at a revision. Pure: it is given what was
 * read and received, and returns the diff to send.
 */
export class MembersReplica {
  #revision = 0;
  #since = 0;
  readonly #nodes = new Map<string, Map<string, number>>();
  readonly #totals = new Map<string, number>();
  /** Lost connections that still count, by the node that wrote them. */
  readonly #absent = new Map<string, Map<string, number>>();
  readonly #details = new Map<string, Map<string, MemberDetail>>();
  /** Members as last sent to subscribers, of users that changed since. */
  readonly #notified = new Map<string, NotifiedMember>();

  get revision(): number {
    return this.#revision;
  }

  get nodes(): Iterable<string> {
    return this.#nodes.keys();
  }

  /** Users, not connections. */
  get count(): number {
    return this.#totals.size;
  }

  /** A change names the revision before it, so a lost one shows with the next. */
  place({ revision, before }: Pick<MembersChange, "revision" | "before">): ChangePlacement {
    if (before === this.#revision) return "next";
    return revision <= this.#revision ? "repeat" : "gap";
  }

  /** Applies the next change. */
  apply({ revision, before, node, counts, absent, details, isWhole, formerNode }: MembersChange): void {
    if (formerNode !== undefined) this.drop(formerNode);
    if (isWhole) this.#absent.delete(node);
    if (absent !== undefined || this.#absent.has(node)) this.#noteAbsent(node, counts, absent);
    if (isWhole) this.#replaceNode(node, counts);
    else for (const [user, connections] of counts) this.#set(node, user, connections);
    this.#setDetails(node, counts, details);
    if (before === 0) this.#since = revision - 1;
    this.#revision = revision;
  }

  /** Redis has lost members that are known here; nodes are still writing them again. */
  isForgottenBy({ since }: StoredMembers): boolean {
    return this.count > 0 && since !== this.#since;
  }

  /** Replaces everything by what was read. Lost connections are not part of it. */
  replace({ revision, since, nodes, details }: StoredMembers): void {
    this.#absent.clear();
    for (const node of this.#nodes.keys()) if (!nodes.has(node)) this.drop(node);
    for (const [node, counts] of nodes) {
      this.#replaceNode(node, counts);
      this.#setDetails(node, counts, details?.get(node));
    }
    this.#since = since;
    this.#revision = revision;
  }

  /** The node is dead; removes what it wrote. */
  drop(node: string): void {
    this.#absent.delete(node);
    for (const user of this.#nodes.get(node)?.keys() ?? []) this.#set(node, user, 0);
    this.#details.delete(node);
  }

  /** At most `limit` members, sorted by user id. */
  members(limit: number): Member[] {
    const members: Member[] = [];
    for (const [userId, connections] of this.#totals) {
      if (members.length === limit) break;
      members.push({
        userId,
        connections: this.#isComingBack(userId) ? (this.#notified.get(userId)?.connections ?? 0) : connections,
        ...this.#detailOf(userId),
      });
    }
    return members.toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
  }

  /** When a connection of the user set data last; 0 if none did. */
  latestDataOf(userId: string): number {
    return Math.max(0, ...[...this.#details.values()].map((ofNode) => ofNode.get(userId)?.at ?? 0));
  }

  /** The changes since the last call, or since `forgetDiff`; undefined if there are none. */
  takeDiff(): MembersDiff | undefined {
    const diff: MembersDiff = { joined: [], left: [], updated: [] };
    for (const [userId, before] of this.#notified) {
      if (this.#isComingBack(userId)) continue;
      this.#notified.delete(userId);
      const connections = this.#totals.get(userId) ?? 0;
      const detail = connections === 0 ? {} : this.#detailOf(userId);
      if (connections === before.connections && JSON.stringify(detail) === before.detail) continue;
      const list = before.connections === 0 ? diff.joined : connections === 0 ? diff.left : diff.updated;
      list.push({ userId, connections, ...detail });
    }
    return diff.joined.length + diff.left.length + diff.updated.length === 0 ? undefined : diff;
  }

  /** Diffs start from the current state. */
  forgetDiff(): void {
    this.#notified.clear();
  }

  /**
   * True if the additional connections of a user may replace lost ones. Until that is known, after at most three
   * seconds, the user is reported unchanged.
   */
  #isComingBack(user: string): boolean {
    const before = this.#notified.get(user)?.connections ?? 0;
    const more = (this.#totals.get(user) ?? 0) - before;
    return before > 0 && more > 0 && more <= this.#absentOf(user);
  }

  #absentOf(user: string): number {
    let sum = 0;
    for (const absent of this.#absent.values()) sum += absent.get(user) ?? 0;
    return sum;
  }

  #noteAbsent(node: string, counts: Counts, absent: Counts | undefined): void {
    const known = this.#absent.get(node) ?? new Map<string, number>();
    for (const user of counts.keys()) setOrDelete(known, user, absent?.get(user) ?? 0);
    if (known.size === 0) this.#absent.delete(node);
    else this.#absent.set(node, known);
  }

  #replaceNode(node: string, counts: Counts): void {
    for (const user of this.#nodes.get(node)?.keys() ?? []) if (!counts.has(user)) this.#set(node, user, 0);
    for (const [user, connections] of counts) this.#set(node, user, connections);
  }

  #set(node: string, user: string, connections: number): void {
    const before = this.#nodes.get(node)?.get(user) ?? 0;
    if (connections === before) return;
    const total = this.#totals.get(user) ?? 0;
    this.#noteBefore(user);
    if (connections === 0) this.#details.get(node)?.delete(user);
    this.#note(node, user, connections);
    setOrDelete(this.#totals, user, total - before + connections);
  }

  #noteBefore(user: string): void {
    if (this.#notified.has(user)) return;
    const detail = JSON.stringify(this.#detailOf(user));
    this.#notified.set(user, { connections: this.#totals.get(user) ?? 0, detail });
  }

  #setDetails(node: string, counts: Counts, details: Details | undefined): void {
    const known = this.#details.get(node) ?? new Map<string, MemberDetail>();
    if (known.size === 0 && details === undefined) return;
    for (const [user, connections] of counts) {
      const detail = connections === 0 ? undefined : details?.get(user);
      if (detail !== undefined || known.has(user)) this.#noteBefore(user);
      if (detail === undefined) known.delete(user);
      else known.set(user, detail);
    }
    if (known.size === 0) this.#details.delete(node);
    else this.#details.set(node, known);
  }

  /** The data that was set last, and the public part of a session that has one; the same on all nodes. */
  #detailOf(user: string): Pick<Member, "info" | "data"> {
    if (this.#details.size === 0) return {};
    const details = [...this.#details].flatMap(([node, ofNode]) => {
      const detail = ofNode.get(user);
      return detail === undefined ? [] : [{ node, ...detail }];
    });
    const latestFirst = details.toSorted((a, b) => b.at - a.at || (a.node < b.node ? -1 : 1));
    const { data } = latestFirst.find((detail) => detail.data !== undefined) ?? {};
    const { info } = latestFirst.find((detail) => detail.info !== undefined) ?? {};
    return { ...(info !== undefined && { info }), ...(data !== undefined && { data }) };
  }

  #note(node: string, user: string, connections: number): void {
    const counts = this.#nodes.get(node) ?? new Map<string, number>();
    setOrDelete(counts, user, connections);
    if (counts.size === 0) this.#nodes.delete(node);
    else this.#nodes.set(node, counts);
  }
}

function setOrDelete(counts: Map<string, number>, key: string, count: number): void {
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
