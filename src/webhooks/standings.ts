import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

export interface StandingsDeps {
  /** Tells the store; rejects where it is away. */
  say: (entity: string, data: string, isHere: boolean) => Promise<void>;
  /** False while this node has no name it may write under; `sayAll` is called when it has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export interface StandingsOptions {
  /** Milliseconds that an entity must be gone before it is said: a reload of a page is not news. */
  settleMs: number;
}

/** What this node knows of one entity. */
interface Place {
  data: string;
  count: number;
  /** Set while it is gone, but not yet for long. */
  settling: Cancel | undefined;
  /** Whether the store has it down as standing here. */
  noted: "yes" | "no" | "perhaps";
  isSaying: boolean;
}

/** Entities told to the store at the same time. */
const mostAtOnce = 200;
const retryMs = 500;

/**
 * What stands at this node: counts kept here, and said to the store where they begin and, a little later, where they
 * end. What is said is the state and not its changes, so nothing piles up while the store is away and nothing is missing
 * afterwards; what came and went meanwhile was then never told.
 */
export class Standings {
  readonly #deps: StandingsDeps;
  readonly #settleMs: number;
  readonly #places = new Map<string, Place>();
  readonly #due = new Set<string>();
  #saying = 0;
  /** How many names this node has had before; what was said under one says nothing about the next. */
  #formerNames = 0;
  #cancelRetry: Cancel | undefined;
  #isStopped = false;

  constructor(deps: StandingsDeps, { settleMs }: StandingsOptions) {
    this.#deps = deps;
    this.#settleMs = settleMs;
  }

  /** One more of what makes the entity stand here. */
  enter(entity: string, data: string): void {
    const place = this.#places.get(entity) ?? absent(data);
    this.#places.set(entity, place);
    place.count += 1;
    place.settling?.();
    place.settling = undefined;
    if (!isRight(place)) this.#isDue(entity);
  }

  /** One less. */
  leave(entity: string): void {
    const place = this.#places.get(entity);
    if (place === undefined || place.count === 0) return;
    place.count -= 1;
    if (place.count > 0) return;
    place.settling = this.#deps.clock.after(this.#settleMs, () => this.#gone(entity, place));
  }

  /** This node has another name, under which nothing is known yet; what stood under the old one is no longer so. */
  sayAll(): void {
    this.#formerNames += 1;
    for (const [entity, place] of this.#places) {
      place.noted = "no";
      if (stands(place)) this.#isDue(entity);
      else this.#forget(entity, place);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
    for (const { settling } of this.#places.values()) settling?.();
  }

  #gone(entity: string, place: Place): void {
    place.settling = undefined;
    if (isRight(place)) this.#forget(entity, place);
    else this.#isDue(entity);
  }

  #isDue(entity: string): void {
    this.#due.add(entity);
    this.#sayDue();
  }

  #sayDue(): void {
    if (this.#isStopped || this.#cancelRetry !== undefined || this.#due.size === 0) return;
    if (!this.#deps.mayWrite()) return this.#sayLater();
    for (const entity of this.#due) {
      if (this.#saying >= mostAtOnce) return;
      const place = this.#places.get(entity);
      if (place?.isSaying === true) continue;
      this.#due.delete(entity);
      if (place !== undefined) void this.#say(entity, place);
    }
  }

  /** Never rejects. One at a time for an entity, so that the last thing said is what is so. */
  async #say(entity: string, place: Place): Promise<void> {
    const isHere = stands(place);
    const formerNames = this.#formerNames;
    this.#saying += 1;
    place.isSaying = true;
    place.noted = "perhaps";
    const isSaid = await this.#deps.say(entity, place.data, isHere).then(
      () => true,
      (error: unknown) => this.#failed(error),
    );
    this.#saying -= 1;
    place.isSaying = false;
    if (isSaid && formerNames === this.#formerNames) place.noted = isHere ? "yes" : "no";
    if (!isRight(place)) this.#due.add(entity);
    else if (!stands(place)) this.#forget(entity, place);
    this.#sayDue();
  }

  #failed(error: unknown): false {
    if (this.#cancelRetry === undefined) {
      this.#deps.log.warn({ err: error }, "queueing webhook events failed; retrying");
      this.#sayLater();
    }
    return false;
  }

  #sayLater(): void {
    this.#cancelRetry = this.#deps.clock.after(retryMs, () => {
      this.#cancelRetry = undefined;
      this.#sayDue();
    });
  }

  #forget(entity: string, place: Place): void {
    if (place.count > 0 || place.isSaying) return;
    this.#places.delete(entity);
    this.#due.delete(entity);
  }
}

const absent = (data: string): Place => ({
  data,
  count: 0,
  settling: undefined,
  noted: "no",
  isSaying: false,
});

/** It is here, or was a moment ago. */
const stands = ({ count, settling }: Place): boolean => count > 0 || settling !== undefined;

const isRight = (place: Place): boolean => place.noted === (stands(place) ? "yes" : "no");
