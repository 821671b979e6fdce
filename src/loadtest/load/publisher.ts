import type { ChannelLedger, Ledger } from "../judge/ledger.ts";
import { labNow } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Tally } from "../tally.ts";
import type { Item, Outcome, Work } from "./work.ts";

export interface PublisherDeps {
  work: Work;
  /** Moments from the beginning, growing; milliseconds. */
  schedule: Iterator<number>;
  tally: Tally;
  random: Random;
}

/** How long something is tried before it counts as unconfirmed. */
const patienceMs = 30_000;
const firstDelayMs = 100;
const longestDelayMs = 2_000;

/** The same once nothing new is to be sent. */
const lastPatienceMs = 10_000;

/** Most items that wait. Beyond, nothing is sent for the moments that come, and the report says so. */
const mostWaiting = 200_000;

/** A channel's ledger while it is written. */
interface OpenLedger extends ChannelLedger {
  readonly sentAt: number[];
  readonly unconfirmed: Set<number>;
  readonly outOfTurn: Set<number>;
}

/**
 * Sends what the schedule says when it says so. Lanes that cannot follow make their items wait, and the wait counts: the
 * latency of an item runs from the moment it was due, so a house that stalls is not measured only while it answers.
 */
export class Publisher {
  readonly #deps: PublisherDeps;
  readonly #lanes: Item[][];
  readonly #busy = new Set<Promise<void>>();
  readonly #running: boolean[];
  readonly #ledger = new Map<string, OpenLedger>();
  #timer: NodeJS.Timeout | undefined;
  /** Sends what has become due; nothing where the schedule has ended. */
  #followOn = (): void => undefined;
  /** When it was told to stop. */
  #stoppedAt = Number.POSITIVE_INFINITY;

  constructor(deps: PublisherDeps) {
    this.#deps = deps;
    this.#lanes = Array.from({ length: deps.work.lanes }, () => []);
    this.#running = this.#lanes.map(() => false);
    deps.tally.gauge("waiting", () => this.#waiting);
  }

  get #waiting(): number {
    return this.#lanes.reduce((sum, { length }) => sum + length, 0);
  }

  get #isOver(): boolean {
    return labNow() > this.#stoppedAt + lastPatienceMs;
  }

  /** `at` is the beginning of the schedule, in lab time. */
  start(at: number): void {
    this.#follow(at, this.#deps.schedule.next());
  }

  /** Plans nothing that is due later; resolves with everything that was sent when all of it is confirmed or given up. */
  async stop(): Promise<Ledger> {
    clearTimeout(this.#timer);
    // A generator that is late itself is not to leave out what was due.
    this.#followOn();
    clearTimeout(this.#timer);
    this.#stoppedAt = labNow();
    while (this.#busy.size > 0) await Promise.all(this.#busy);
    this.#deps.work.stop();
    return this.#ledger;
  }

  #follow(startedAt: number, step: IteratorResult<number>): void {
    let next = step;
    this.#followOn = () => undefined;
    while (next.done !== true && startedAt + next.value <= labNow()) {
      this.#due(startedAt + next.value);
      next = this.#deps.schedule.next();
    }
    if (next.done === true || this.#stoppedAt < labNow()) return;
    const waitMs = Math.max(startedAt + next.value - labNow(), 0);
    this.#followOn = () => this.#follow(startedAt, next);
    this.#timer = setTimeout(this.#followOn, waitMs);
  }

  #due(at: number): void {
    // Only how late the generator is itself: what follows is the house's.
    this.#deps.tally.record("lag", labNow() - at);
    if (this.#waiting >= mostWaiting) return this.#deps.tally.count("unsent");
    const item = this.#deps.work.next(at);
    this.#lanes[item.lane]?.push(item);
    if (this.#running[item.lane] === true) return;
    this.#running[item.lane] = true;
    const run = this.#run(item.lane).finally(() => this.#busy.delete(run));
    this.#busy.add(run);
  }

  async #run(lane: number): Promise<void> {
    // What is due at the same moment is to travel together.
    await Promise.resolve();
    const queue = this.#lanes[lane] as Item[];
    while (queue.length > 0 && !this.#isOver) await this.#deliver(queue.splice(0, this.#deps.work.mostAtOnce));
    if (queue.length > 0) this.#deps.tally.count("unsent", queue.splice(0).length);
    this.#running[lane] = false;
  }

  /** Until each is confirmed, refused for good, or given up. Order is kept: nothing else of the lane is sent meanwhile. */
  async #deliver(items: readonly Item[]): Promise<void> {
    const firstSentAt = labNow();
    for (const item of items) this.#sent(item, firstSentAt);
    let waiting = items;
    for (let attempt = 0; waiting.length > 0; attempt += 1) {
      const outcomes = await this.#deps.work.send(waiting);
      const isLast = this.#isOver || labNow() - firstSentAt > patienceMs;
      waiting = this.#settle(waiting, outcomes, isLast);
      if (waiting.length > 0) await this.#pause(attempt, outcomes);
    }
  }

  /** What is to be tried again. */
  #settle(items: readonly Item[], outcomes: readonly Outcome[], isLast: boolean): Item[] {
    const again: Item[] = [];
    for (const [at, item] of items.entries()) {
      const outcome = outcomes[at];
      if (outcome === "confirmed") this.#confirmed(item);
      else if (isLast || outcome === undefined || !outcome.isPassing) this.#giveUp(item, outcome?.code ?? "unanswered");
      else again.push(item);
    }
    // Others of the call were taken: whatever comes again comes behind them.
    if (again.length < items.length) for (const item of again) this.#note(item, "outOfTurn");
    return again;
  }

  #pause(attempt: number, outcomes: readonly Outcome[]): Promise<void> {
    const asked = outcomes.map((outcome) => (outcome === "confirmed" ? 0 : outcome.retryAfterMs));
    const delayMs = Math.min(firstDelayMs * 2 ** Math.min(attempt, 10), longestDelayMs) * (0.5 + this.#deps.random());
    this.#deps.tally.count("repeats");
    return new Promise((resolve) => void setTimeout(resolve, Math.max(delayMs, ...asked)));
  }

  #sent(item: Item, at: number): void {
    this.#deps.tally.count("published");
    if (item.number !== undefined) this.#ledgerOf(item.channel).sentAt.push(at);
  }

  #confirmed(item: Item): void {
    this.#deps.tally.count("confirmed");
    this.#deps.tally.record("confirm", labNow() - item.dueAt);
  }

  #giveUp(item: Item, code: string): void {
    this.#deps.tally.count(`unconfirmed:${code}`);
    this.#note(item, "unconfirmed");
  }

  #note({ channel, number }: Item, list: "unconfirmed" | "outOfTurn"): void {
    if (number !== undefined) this.#ledgerOf(channel)[list].add(number);
  }

  #ledgerOf(channel: string): OpenLedger {
    const known = this.#ledger.get(channel) ?? {
      sentAt: [],
      unconfirmed: new Set<number>(),
      outOfTurn: new Set<number>(),
    };
    this.#ledger.set(channel, known);
    return known;
  }
}
