import type { Fence } from "../cluster/fence.ts";
import type { Membership } from "../cluster/membership.ts";
import { emptyCount, NodeCounts, type CountWrite, type NodeCount } from "../cluster/node-counts.ts";
import { GatewayError } from "../protocol/errors.ts";
import { refusalWhileFenced } from "../redis/refusals.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { quotaTtlSeconds, type ConnectionQuotaStore } from "./connection-quota-store.ts";

export interface ConnectionQuotaDeps {
  store: ConnectionQuotaStore;
  incarnation: () => string;
  mayWrite: () => boolean;
  fence: Pick<Fence, "isOpen" | "openedWithin" | "failure">;
  membership: Pick<Membership, "deadAmong" | "deadAmongAll">;
  /** Shared by all sessions of one user. */
  userTagOf: (sessionId: string) => string;
  clock: Clock;
  log: Logger;
}

/** One session's connections to this node. */
interface SessionConnections extends NodeCount {
  held: number;
  /** Handshakes waiting for a grant. */
  requested: number;
  /** As the store answered the last write. */
  granted: number;
  holders: readonly string[];
}

/** Max milliseconds a handshake waits for the lease of a node that was frozen. */
const fenceWaitMs = 1_000;
const writeEveryMs = 50;
/** Milliseconds within which a connection that has ended on any node is free in the store. */
const freeWithinMs = 2 * writeEveryMs;

/**
 * Limits connections per user, across all nodes. A handshake takes a connection before it is accepted, and releases it when
 * the connection ends or was never established. A user never holds more than the maximum on all nodes together; connections of
 * dead nodes do not count.
 */
export class ConnectionQuota {
  readonly #deps: ConnectionQuotaDeps;
  readonly #max: number;
  readonly #sessions: NodeCounts<SessionConnections>;

  constructor(deps: ConnectionQuotaDeps, { connectionsPerUser }: { connectionsPerUser: number }) {
    this.#deps = deps;
    this.#max = connectionsPerUser;
    const write = this.#write.bind(this);
    this.#sessions = new NodeCounts<SessionConnections>(
      { ...deps, write, create: noConnections, isEmpty: ({ held, requested }) => held + requested === 0 },
      { description: "presence", intervalMs: writeEveryMs, batchSize: 200, ttlSeconds: quotaTtlSeconds },
    );
  }

  start(): void {
    this.#sessions.start();
  }

  stop(): Promise<void> {
    return this.#sessions.stop();
  }

  rewriteAll(): void {
    this.#sessions.rewriteAll();
  }

  /** Throws `connection_limit` if the user has the maximum number of connections, `unavailable` without a lease. */
  async take(sessionId: string): Promise<void> {
    const session = this.#sessions.of(sessionId);
    session.requested += 1;
    try {
      const { fence } = this.#deps;
      if (!fence.isOpen && !(await fence.openedWithin(fenceWaitMs))) throw refusalWhileFenced(fence);
      if (!(await this.#isGranted(sessionId, session))) await this.#takeFreed(sessionId, session);
    } catch (error) {
      session.requested -= 1;
      throw error;
    } finally {
      this.#settle(sessionId, session);
    }
  }

  /** Releases a connection that `take` granted. */
  release(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session === undefined || session.held === 0) return;
    session.held -= 1;
    this.#settle(sessionId, session);
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
    const { store, membership } = this.#deps;
    const dead = await membership.deadAmong((await store.held(userTag)).map(({ node }) => node));
    await store.removeNodes(userTag, dead);
  }

  /** The limit seems exceeded: asks again once ended connections are free, and once it knows whether the holding nodes are alive. */
  async #takeFreed(sessionId: string, session: SessionConnections): Promise<void> {
    const { store, membership, userTagOf, clock } = this.#deps;
    const [dead] = await Promise.all([membership.deadAmongAll(session.holders), sleep(clock, freeWithinMs)]);
    await store.removeNodes(userTagOf(sessionId), dead);
    if (!(await this.#isGranted(sessionId, session))) throw new GatewayError("connection_limit");
  }

  /** One request for all handshakes that wait at this moment. A granted one is held from then on, and no longer requested. */
  async #isGranted(sessionId: string, session: SessionConnections): Promise<boolean> {
    await this.#sessions.update(sessionId, session);
    if (session.granted <= session.held) return false;
    session.held += 1;
    session.requested -= 1;
    return true;
  }

  async #write(sessionId: string, session: SessionConnections, { node, formerNode }: CountWrite): Promise<void> {
    const { held, requested } = session;
    const request = { node, sessionId, held, requested: held + requested, max: this.#max, formerNode };
    const { granted, holders } = await this.#deps.store.take(this.#deps.userTagOf(sessionId), request);
    session.granted = granted;
    session.holders = holders;
  }

  /** Writes the held count if the store has another one, or an unknown one, and no handshake waits. */
  #settle(sessionId: string, session: SessionConnections): void {
    const { held, requested, granted, unwritten, writing } = session;
    // A write that is under way may request a connection for a handshake that has failed since.
    const isSettled = writing === undefined && unwritten === "nothing" && granted === held;
    if (requested === 0 && !isSettled) this.#sessions.changed(sessionId, session);
  }
}

const noConnections = (): SessionConnections => ({ ...emptyCount(), held: 0, requested: 0, granted: 0, holders: [] });
