import type { DueSet } from "../redis/queues/due-set.ts";
import { createDueWorker, type DueWorker } from "../redis/queues/due-worker.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { StateStore } from "./state-store.ts";

export interface KeyExpiryDeps {
  store: Pick<StateStore, "remove">;
  due: DueSet;
  /** Synchronized with Redis' clock. */
  clock: Clock;
  log: Logger;
}

/** Keys that expire in the same interval are removed together. */
const stepMs = 250;
/** Keys that expire later are looked at again before, so that few members wait for each channel. */
const exactWithinMs = 60_000;
/** Members that this node remembers having planned. */
const maxPlanned = 10_000;
/** Milliseconds for which a claim is exclusive. */
export const expiryLeaseMs = 5_000;

/**
 * Removes keys when they expire, on whichever node is first. Members of the due set are `<epoch milliseconds>:<channel>`:
 * a later key never moves an earlier one, and a member can be dropped once it was performed.
 */
export class KeyExpiry {
  readonly #deps: KeyExpiryDeps;
  readonly #worker: DueWorker<string>;
  readonly #planned = new BoundedMap<string, true>(maxPlanned);

  constructor(deps: KeyExpiryDeps) {
    this.#deps = deps;
    this.#worker = createDueWorker({
      ...deps,
      claim: (max) => deps.due.claim(max),
      perform: (member) => this.#perform(member),
      task: "expiry of state keys",
    });
  }

  start(): void {
    this.#worker.start();
  }

  stop(): Promise<void> {
    return this.#worker.stop();
  }

  /** Call before the key is stored, so that it expires even if this node dies. */
  async plan(channel: string, dueAt: number): Promise<void> {
    const { due, clock } = this.#deps;
    const now = clock.now();
    const at = checkedAt(dueAt, now);
    const member = memberOf(channel, at);
    if (this.#planned.get(member) === true) return;
    await due.plan([member], Math.max(at - now, 0), "new");
    this.#planned.set(member, true);
    this.#worker.expect(Math.max(at - now, 0));
  }

  /** Redis may have lost what was planned. */
  forgetPlanned(): void {
    this.#planned.clear();
  }

  async #perform(member: string): Promise<void> {
    const { store, due, clock } = this.#deps;
    const channel = member.slice(member.indexOf(":") + 1);
    const { nextInMs } = await store.remove(channel, { which: "due" });
    const next = nextInMs === undefined ? undefined : clock.now() + nextInMs;
    // Clocks may differ by milliseconds.
    if (next !== undefined && memberOf(channel, checkedAt(next, clock.now())) === member)
      return due.plan([member], stepMs, "all");
    if (next !== undefined) await this.plan(channel, next);
    await due.drop([member]);
    this.#planned.delete(member);
  }
}

const memberOf = (channel: string, at: number): string => `${at}:${channel}`;

/** Pure. When to look for a key that expires at `dueAt`. */
export function checkedAt(dueAt: number, now: number): number {
  const ahead = dueAt - now;
  if (ahead <= exactWithinMs) return Math.ceil(dueAt / stepMs) * stepMs;
  const step = 2 ** Math.floor(Math.log2(ahead / 4));
  return Math.floor(dueAt / step) * step;
}
