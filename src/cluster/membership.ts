import type { Clock } from "../runtime/clock.ts";

/** End of each node's lease, by the store's clock. */
export type Leases = ReadonlyMap<string, number>;

/**
 * Milliseconds after an outage in which nobody is called dead: all nodes lose their leases then, and come back one after
 * the other under other names.
 */
const graceMs = 3_000;

interface PendingHeartbeat {
  since: number;
  resolve: () => void;
  reject: (reason: Error) => void;
}

/**
 * Who lives, by heartbeats. Nobody writes anything under a node's name before that name's first heartbeat, and a lease
 * that has ended is never renewed. So a name that was seen in the store and is missing from a heartbeat that was sent
 * afterwards is dead for good, and what stands under it may be forgotten.
 */
export class Membership {
  readonly #clock: Clock;
  readonly #beatNow: () => void;
  /** Names seen, with how many heartbeats had been sent by then. */
  readonly #seen = new Map<string, number>();
  readonly #listeners: ((node: string) => void)[] = [];
  #leases: Leases = new Map();
  #sent = 0;
  #graceUntil = Number.NEGATIVE_INFINITY;
  #waiting: PendingHeartbeat[] = [];

  /** `beatNow` sends a heartbeat at once. */
  constructor({ clock, beatNow }: { clock: Clock; beatNow: () => void }) {
    this.#clock = clock;
    this.#beatNow = beatNow;
  }

  /** Nodes whose leases stood at the last heartbeat. */
  get living(): readonly string[] {
    return [...this.#leases.keys()];
  }

  /** A heartbeat is being sent; what it brings is handed over with the number. */
  heartbeatSent(): number {
    return ++this.#sent;
  }

  /** `wasAway`: this node's own lease had ended before. */
  heartbeatDone(heartbeat: number, leases: Leases, wasAway: boolean): void {
    this.#leases = leases;
    if (wasAway) this.#graceUntil = this.#clock.monotonic() + graceMs;
    for (const node of leases.keys()) this.noteSeen(node);
    if (!this.#isGrace()) this.#tellDead(heartbeat);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ since }) => since >= heartbeat);
    for (const { since, resolve } of waiting) if (since < heartbeat) resolve();
  }

  /** A heartbeat failed: whoever waits for one is told so. */
  heartbeatFailed(reason: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }

  /** A name was met in the store; should it be dead, listeners are told. */
  noteSeen(node: string): void {
    if (!this.#seen.has(node)) this.#seen.set(node, this.#sent);
  }

  /** Called once for each name seen that is dead, within a heartbeat after its lease has ended. */
  onDead(listener: (node: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves to who lives now, by a heartbeat sent after the call; rejects, as all here, where the store is away. */
  async livingNow(): Promise<readonly string[]> {
    await this.#next();
    return this.living;
  }

  /** The dead among names met in the store. Only where one is unknown the store is asked. */
  async deadAmong(nodes: readonly string[]): Promise<readonly string[]> {
    for (const node of nodes) this.noteSeen(node);
    if (nodes.every((node) => this.#leases.has(node))) return [];
    await this.#next();
    return this.#isGrace() ? [] : nodes.filter((node) => !this.#leases.has(node));
  }

  /**
   * The same, and each of the others has been heard of since the call: a node that was killed a moment ago is found out.
   * Takes until they beat, a second or so.
   */
  async deadAmongAll(nodes: readonly string[]): Promise<readonly string[]> {
    for (const node of nodes) this.noteSeen(node);
    await this.#next();
    const before = this.#leases;
    const isCertain = (node: string): boolean => {
      const lease = this.#leases.get(node);
      return lease === undefined ? !this.#isGrace() : lease > (before.get(node) ?? 0);
    };
    while (!nodes.every(isCertain)) await this.#following();
    return nodes.filter((node) => !this.#leases.has(node));
  }

  #tellDead(heartbeat: number): void {
    for (const [node, seenAt] of this.#seen) {
      if (seenAt >= heartbeat || this.#leases.has(node)) continue;
      this.#seen.delete(node);
      for (const listener of this.#listeners) listener(node);
    }
  }

  #isGrace(): boolean {
    return this.#clock.monotonic() < this.#graceUntil;
  }

  #next(): Promise<void> {
    const next = this.#following();
    this.#beatNow();
    return next;
  }

  /** The first heartbeat that is sent from now on, in its own time. */
  #following(): Promise<void> {
    return new Promise((resolve, reject) => this.#waiting.push({ since: this.#sent, resolve, reject }));
  }
}
