import type { Fence } from "../cluster/fence.ts";
import type { Membership } from "../cluster/membership.ts";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import { quotaTtlSeconds, type QuotaGrant, type ConnectionQuotaStore } from "./connection-quota-store.ts";

export interface ConnectionQuotaDeps {
  store: ConnectionQuotaStore;
  incarnation: () => string;
  fence: Pick<Fence, "isOpen" | "opened">;
  membership: Pick<Membership, "deadAmong" | "deadAmongAll">;
  /** Shared by all sessions of one user. */
  userTagOf: (sessionId: string) => string;
  clock: Clock;
  log: Logger;
}

/** One session's connections to this node. */
interface SessionConnections {
  held: number;
  /** Handshakes waiting for a grant. */
  requested: number;
  /** The count in the store; undefined if unknown. */
  stored: number | undefined;
  storedAs: string | undefined;
  /** Nothing had to be written at the last sweep. */
  wasIdle: boolean;
}

const paceMs = 50;
const maxConcurrentWrites = 200;
/** Max milliseconds a handshake waits for the lease of a node that was frozen. */
const fenceWaitMs = 1_000;
const renewEveryMs = (quotaTtlSeconds / 8) * 1_000;
/** Keeps entries with a count of 0 for this long, to write them again if the store lost its last seconds. */
const sweepEveryMs = 60_000;

/**
 * Limits connections per user, across all nodes. A handshake takes a connection before it is accepted, and releases it when
 * the connection ends or was never established. A user never holds more than the maximum on all nodes together; connections of
 * dead nodes do not count.
 */
export class ConnectionQuota {
  readonly #deps: ConnectionQuotaDeps;
  readonly #max: number;
  readonly #sessions = new Map<string, SessionConnections>();
  readonly #rounds: WriteBehind;
  readonly #queue = new KeyedQueue();
  #cancels: Cancel[] = [];

  constructor(deps: ConnectionQuotaDeps, { connectionsPerUser }: { connectionsPerUser: number }) {
    this.#deps = deps;
    this.#max = connectionsPerUser;
    const carry = async (sessionIds: readonly string[]): Promise<void> => {
      await Promise.all(sessionIds.map((sessionId) => this.#settle(sessionId)));
    };
    const mayWrite = (): boolean => deps.fence.isOpen;
    this.#rounds = new WriteBehind(
      { ...deps, mayWrite, write: carry },
      { description: "presence", intervalMs: paceMs, batchSize: maxConcurrentWrites },
    );
  }

  start(): void {
    const { clock } = this.#deps;
    this.#cancels = [
      clock.every(renewEveryMs, () => this.rewriteAll()),
      clock.every(sweepEveryMs, () => this.#sweep()),
    ];
  }

  stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    return this.#rounds.stop();
  }

  /** Throws `connection_limit` if the user has the maximum number of connections, `unavailable` without a lease. */
  async take(sessionId: string): Promise<void> {
    const session = this.#ofSession(sessionId);
    session.requested += 1;
    session.wasIdle = false;
    try {
      if (!this.#deps.fence.isOpen) await this.#thaw();
      await this.#takeOne(sessionId, session);
    } finally {
      session.requested -= 1;
      this.#settleLater(sessionId, session);
    }
  }

  /** Releases a connection that `take` granted. */
  release(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined || session.held === 0) return;
    session.held -= 1;
    this.#settleLater(sessionId, session);
  }

  /** Connections of each session on all nodes. Rejects with errors of the store. */
  async connectionsOf(sessionIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const tags = new Set(sessionIds.map(this.#deps.userTagOf));
    const own = this.#deps.incarnation();
    const others = (await Promise.all([...tags].map((tag) => this.#deps.store.held(tag))))
      .flat()
      .filter(({ node }) => node !== own);
    const dead = await this.#deps.membership.deadAmong(others.map(({ node }) => node));
    const totals = new Map(sessionIds.map((id) => [id, this.#sessions.get(id)?.held ?? 0]));
    for (const { node, sessionId, count } of others) {
      if (totals.has(sessionId) && !dead.includes(node)) totals.set(sessionId, (totals.get(sessionId) ?? 0) + count);
    }
    return totals;
  }

  /** Removes what dead nodes have written of a user's connections. */
  async removeDead(userTag: string): Promise<void> {
    const { store, membership, incarnation } = this.#deps;
    const dead = await membership.deadAmong((await store.held(userTag)).map(({ node }) => node));
    const none = { node: incarnation(), sessionId: "", held: 0, requested: 0, max: this.#max, formerNode: undefined };
    if (dead.length > 0) await store.take(userTag, { ...none, dead });
  }

  /** Writes everything again: the store may have lost some of it, or this node has another name. */
  rewriteAll(): void {
    for (const [sessionId, session] of this.#sessions) {
      session.stored = undefined;
      this.#rounds.add(sessionId);
    }
  }

  #ofSession(sessionId: string): SessionConnections {
    const known = this.#sessions.get(sessionId);
    if (known !== undefined) return known;
    const session = { held: 0, requested: 0, stored: undefined, storedAs: undefined, wasIdle: false };
    this.#sessions.set(sessionId, session);
    return session;
  }

  async #thaw(): Promise<void> {
    const { fence, clock } = this.#deps;
    await Promise.race([fence.opened(), sleep(clock, fenceWaitMs)]);
    if (!fence.isOpen) throw new GatewayError("unavailable", undefined, { retryAfterMs: fenceWaitMs });
  }

  /** If the limit seems exceeded, it asks again once it knows whether the holding nodes are alive. */
  async #takeOne(sessionId: string, session: SessionConnections): Promise<void> {
    const { granted, holders } = await this.#ask(sessionId, session);
    if (granted > session.held) return void (session.held += 1);
    if (holders.length === 0) throw new GatewayError("connection_limit");
    const dead = await this.#deps.membership.deadAmongAll(holders);
    const again = await this.#ask(sessionId, session, dead);
    if (again.granted <= session.held) throw new GatewayError("connection_limit");
    session.held += 1;
  }

  /**
   * One request for all handshakes that wait at this moment. Requests of a session run one after the other: a delayed one
   * would take back what later ones were granted.
   */
  #ask(sessionId: string, session: SessionConnections, dead: readonly string[] = []): Promise<QuotaGrant> {
    return this.#queue.run(sessionId, () => this.#askNow(sessionId, session, dead));
  }

  async #askNow(sessionId: string, session: SessionConnections, dead: readonly string[]): Promise<QuotaGrant> {
    const { store, userTagOf, incarnation } = this.#deps;
    const node = incarnation();
    const formerNode = session.storedAs === node ? undefined : session.storedAs;
    const { held, requested: asking } = session;
    // Unknown until the response arrives.
    session.stored = undefined;
    const request = { node, sessionId, held, requested: held + asking, max: this.#max, formerNode, dead };
    const grant = await store.take(userTagOf(sessionId), request);
    session.stored = grant.granted;
    session.storedAs = node;
    return grant;
  }

  /** Writes the held count if the store has another one and no handshake waits. */
  async #settle(sessionId: string): Promise<void> {
    const session = this.#sessions.get(sessionId);
    if (session !== undefined && session.requested === 0 && session.stored !== session.held)
      await this.#ask(sessionId, session);
  }

  #settleLater(sessionId: string, session: SessionConnections): void {
    if (session.requested === 0 && session.stored !== session.held) this.#rounds.add(sessionId);
  }

  #sweep(): void {
    for (const [sessionId, session] of this.#sessions) {
      const isIdle = session.held === 0 && session.requested === 0 && session.stored === 0;
      if (isIdle && session.wasIdle) this.#sessions.delete(sessionId);
      session.wasIdle = isIdle;
    }
  }
}
