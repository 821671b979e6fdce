import type { Fence } from "../cluster/fence.ts";
import type { Roll } from "../cluster/roll.ts";
import { GatewayError } from "../protocol/errors.ts";
import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createKeyedQueue } from "../runtime/keyed-queue.ts";
import { WriteBehind } from "../runtime/write-behind.ts";
import { seatsTtlSeconds, type SeatsGrant, type SeatsStore } from "./seats-store.ts";

export interface SeatsDeps {
  store: SeatsStore;
  incarnation: () => string;
  fence: Pick<Fence, "isOpen" | "opened">;
  roll: Pick<Roll, "deadAmong" | "deadAmongAll">;
  /** What all sessions of one user have in common. */
  userTagOf: (sessionId: string) => string;
  clock: Clock;
  log: Logger;
}

/** One session's connections to this node. */
interface Seat {
  held: number;
  /** Handshakes that are asking. */
  asking: number;
  /** What the store holds, as far as is known. */
  stored: number | undefined;
  storedAs: string | undefined;
  /** There was nothing to say at the last sweep. */
  wasIdle: boolean;
}

const paceMs = 50;
const sessionsAtOnce = 200;
/** Milliseconds a handshake waits for a node that has just thawed. */
const patienceMs = 1_000;
const renewEveryMs = (seatsTtlSeconds / 8) * 1_000;
/** So long it is known that none is held: a store that lost its last seconds is told so again. */
const sweepEveryMs = 60_000;

/**
 * Connections per user, over all nodes. A handshake takes a seat before it is accepted and whoever took one releases it
 * when the connection ends, or was never made. On all nodes together a user never has more seats than there are; a node
 * that died holds none, so nobody is refused on its account.
 */
export class Seats {
  readonly #deps: SeatsDeps;
  readonly #most: number;
  readonly #seats = new Map<string, Seat>();
  readonly #rounds: WriteBehind;
  readonly #inTurn = createKeyedQueue();
  #cancels: Cancel[] = [];

  constructor(deps: SeatsDeps, { connectionsPerUser }: { connectionsPerUser: number }) {
    this.#deps = deps;
    this.#most = connectionsPerUser;
    const carry = async (sessionIds: readonly string[]): Promise<void> => {
      await Promise.all(sessionIds.map((sessionId) => this.#settle(sessionId)));
    };
    const mayWrite = (): boolean => deps.fence.isOpen;
    this.#rounds = new WriteBehind(
      { ...deps, mayWrite, write: carry },
      { description: "presence", intervalMs: paceMs, batchSize: sessionsAtOnce },
    );
  }

  start(): void {
    const { clock } = this.#deps;
    this.#cancels = [clock.every(renewEveryMs, () => this.sayAll()), clock.every(sweepEveryMs, () => this.#sweep())];
  }

  stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    return this.#rounds.stop();
  }

  /** Throws `connection_limit` where the user has as many connections as it may, `unavailable` without a lease. */
  async take(sessionId: string): Promise<void> {
    const seat = this.#seatOf(sessionId);
    seat.asking += 1;
    seat.wasIdle = false;
    try {
      if (!this.#deps.fence.isOpen) await this.#thaw();
      await this.#takeOne(sessionId, seat);
    } finally {
      seat.asking -= 1;
      this.#settleLater(sessionId, seat);
    }
  }

  /** Gives one back that `take` gave. */
  release(sessionId: string): void {
    const seat = this.#seats.get(sessionId);
    if (seat === undefined || seat.held === 0) return;
    seat.held -= 1;
    this.#settleLater(sessionId, seat);
  }

  /** Connections of each session on all nodes. Store errors as they come. */
  async connectionsOf(sessionIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const tags = new Set(sessionIds.map(this.#deps.userTagOf));
    const own = this.#deps.incarnation();
    const others = (await Promise.all([...tags].map((tag) => this.#deps.store.held(tag))))
      .flat()
      .filter(({ node }) => node !== own);
    const dead = await this.#deps.roll.deadAmong(others.map(({ node }) => node));
    const totals = new Map(sessionIds.map((id) => [id, this.#seats.get(id)?.held ?? 0]));
    for (const { node, sessionId, count } of others) {
      if (totals.has(sessionId) && !dead.includes(node)) totals.set(sessionId, (totals.get(sessionId) ?? 0) + count);
    }
    return totals;
  }

  /** Everything must be said again: the store may have lost some of it, or this node has another name. */
  sayAll(): void {
    for (const [sessionId, seat] of this.#seats) {
      seat.stored = undefined;
      this.#rounds.add(sessionId);
    }
  }

  #seatOf(sessionId: string): Seat {
    const known = this.#seats.get(sessionId);
    if (known !== undefined) return known;
    const seat = { held: 0, asking: 0, stored: undefined, storedAs: undefined, wasIdle: false };
    this.#seats.set(sessionId, seat);
    return seat;
  }

  async #thaw(): Promise<void> {
    const { fence, clock } = this.#deps;
    await Promise.race([fence.opened(), sleep(clock, patienceMs)]);
    if (!fence.isOpen) throw new GatewayError("unavailable", undefined, { retryAfterMs: patienceMs });
  }

  /** Where there seem to be too many, it is asked again when all who hold some have been heard of: one may have died. */
  async #takeOne(sessionId: string, seat: Seat): Promise<void> {
    const { granted, holders } = await this.#ask(sessionId, seat);
    if (granted > seat.held) return void (seat.held += 1);
    if (holders.length === 0) throw new GatewayError("connection_limit");
    const dead = await this.#deps.roll.deadAmongAll(holders);
    const again = await this.#ask(sessionId, seat, dead);
    if (again.granted <= seat.held) throw new GatewayError("connection_limit");
    seat.held += 1;
  }

  /**
   * For all who are asking at this moment, this one among them. One after the other: a wish that came later by a script
   * that had to be sent again would take back what those after it were given.
   */
  #ask(sessionId: string, seat: Seat, dead: readonly string[] = []): Promise<SeatsGrant> {
    return this.#inTurn(sessionId, () => this.#askNow(sessionId, seat, dead));
  }

  async #askNow(sessionId: string, seat: Seat, dead: readonly string[]): Promise<SeatsGrant> {
    const { store, userTagOf, incarnation } = this.#deps;
    const node = incarnation();
    const former = seat.storedAs === node ? undefined : seat.storedAs;
    const { held, asking } = seat;
    // Until the answer comes nobody knows.
    seat.stored = undefined;
    const wish = { node, sessionId, held, wanted: held + asking, most: this.#most, former, dead };
    const grant = await store.take(userTagOf(sessionId), wish);
    seat.stored = grant.granted;
    seat.storedAs = node;
    return grant;
  }

  /** Says what is held, where the store knows otherwise and nobody is asking. */
  async #settle(sessionId: string): Promise<void> {
    const seat = this.#seats.get(sessionId);
    if (seat !== undefined && seat.asking === 0 && seat.stored !== seat.held) await this.#ask(sessionId, seat);
  }

  #settleLater(sessionId: string, seat: Seat): void {
    if (seat.asking === 0 && seat.stored !== seat.held) this.#rounds.add(sessionId);
  }

  #sweep(): void {
    for (const [sessionId, seat] of this.#seats) {
      const isIdle = seat.held === 0 && seat.asking === 0 && seat.stored === 0;
      if (isIdle && seat.wasIdle) this.#seats.delete(sessionId);
      seat.wasIdle = isIdle;
    }
  }
}
