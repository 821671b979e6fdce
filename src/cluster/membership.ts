import type { Clock } from "../runtime/clock.ts";

/** End of each node's lease, by Redis' clock. */
export type Leases = ReadonlyMap<string, number>;

/**
 * Milliseconds after an outage in which no node is declared dead: all nodes lose their leases then, and come back one
 * after the other under other names.
 */
const graceMs = 3_000;

interface PendingHeartbeat {
  since: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

/**
 * Failure detector, based on heartbeats. Nothing is written under a node's name before its first heartbeat, and an
 * expired lease is never renewed. So if a name was seen in Redis and is missing from a later heartbeat, that node is
 * dead for good, and its state may be removed.
 */
export class Membership {
  readonly #clock: Clock;
  readonly #heartbeatNow: () => void;
  /** Names seen, each with the number of heartbeats sent by then. */
  readonly #seen = new Map<string, number>();
  readonly #listeners: ((node: string) => void)[] = [];
  #leases: Leases = new Map();
  /** Of `#leases`; the ends in it may be out of date, the names are not. */
  #version = "";
  #sent = 0;
  #graceUntil = Number.NEGATIVE_INFINITY;
  #waiting: PendingHeartbeat[] = [];
  /** How many wait for the ends of leases. */
  #comparing = 0;

  /** `heartbeatNow` sends a heartbeat at once. */
  constructor({ clock, heartbeatNow }: { clock: Clock; heartbeatNow: () => void }) {
    this.#clock = clock;
    this.#heartbeatNow = heartbeatNow;
  }

  /** Nodes with a lease at the last heartbeat. */
  get living(): readonly string[] {
    return [...this.#leases.keys()];
  }

  /** Returns the number of the heartbeat, for `heartbeatDone`, and the version of the living nodes to send with it. */
  heartbeatSent(): { heartbeat: number; version: string } {
    return { heartbeat: ++this.#sent, version: this.#comparing > 0 ? "" : this.#version };
  }

  /** `wasAway`: this node's own lease had expired before. `leases`: undefined if the living nodes are the same. */
  heartbeatDone(
    heartbeat: number,
    { leases = this.#leases, version }: { leases: Leases | undefined; version: string },
    wasAway: boolean,
  ): void {
    this.#leases = leases;
    this.#version = version;
    if (wasAway) this.#graceUntil = this.#clock.monotonic() + graceMs;
    for (const node of leases.keys()) this.noteSeen(node);
    if (!this.#isGrace()) this.#notifyDead(heartbeat);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ since }) => since >= heartbeat);
    for (const { since, resolve } of waiting) if (since < heartbeat) resolve();
  }

  /** Rejects everybody who waits for a heartbeat. */
  heartbeatFailed(reason: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  /** A name was found in Redis; listeners are told if it is dead. */
  noteSeen(node: string): void {
    if (!this.#seen.has(node)) this.#seen.set(node, this.#sent);
  }

  /** Called once for each dead name that was seen, within one heartbeat after its lease has expired. */
  onDead(listener: (node: string) => void): void {
    this.#listeners.push(listener);
  }

  /** The living nodes, by a heartbeat sent after the call. Rejects, like all methods here, if Redis is unavailable. */
  async livingNow(): Promise<readonly string[]> {
    await this.#nextNow();
    return this.living;
  }

  /** The dead ones among names found in Redis. Sends a heartbeat only if a name is unknown. */
  async deadAmong(nodes: readonly string[]): Promise<readonly string[]> {
    for (const node of nodes) this.noteSeen(node);
    if (nodes.every((node) => this.#leases.has(node))) return [];
    await this.#nextNow();
    return this.#isGrace() ? [] : nodes.filter((node) => !this.#leases.has(node));
  }

  /**
   * Like `deadAmong`, and every other node has sent a heartbeat since the call, so a node killed a moment ago is
   * detected. Takes about a second.
   */
  async deadAmongAll(nodes: readonly string[]): Promise<readonly string[]> {
    if (nodes.length === 0) return [];
    for (const node of nodes) this.noteSeen(node);
    this.#comparing++;
    try {
      return await this.#deadAfterNextHeartbeats(nodes);
    } finally {
      this.#comparing--;
    }
  }

  async #deadAfterNextHeartbeats(nodes: readonly string[]): Promise<readonly string[]> {
    await this.#nextNow();
    const before = this.#leases;
    const isCertain = (node: string): boolean => {
      const lease = this.#leases.get(node);
      return lease === undefined ? !this.#isGrace() : lease > (before.get(node) ?? 0);
    };
    while (!nodes.every(isCertain)) await this.#nextRegular();
    return nodes.filter((node) => !this.#leases.has(node));
  }

  #notifyDead(heartbeat: number): void {
    for (const [node, seenAt] of this.#seen) {
      if (seenAt >= heartbeat || this.#leases.has(node)) continue;
      this.#seen.delete(node);
      for (const listener of this.#listeners) listener(node);
    }
  }

  #isGrace(): boolean {
    return this.#clock.monotonic() < this.#graceUntil;
  }

  #nextNow(): Promise<void> {
    const next = this.#nextRegular();
    this.#heartbeatNow();
    return next;
  }

  /** The next regular heartbeat. */
  #nextRegular(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ since: this.#sent, resolve, reject }));
  }
}
