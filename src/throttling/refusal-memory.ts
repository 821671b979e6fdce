import type { Clock } from "../runtime/clock.ts";
import { BoundedMap } from "./bounded-map.ts";
import type { Decision } from "./decision.ts";

/** Refusals a node remembers; one that was forgotten is asked for again. */
const remembered = 10_000;

interface Refusal {
  readonly cost: number;
  readonly decision: Decision;
  /** Monotonic milliseconds. */
  readonly endsAt: number;
}

/**
 * A refusal says when the same act may pass; until then the store would only say it again. A node that remembers it
 * answers by itself, so that who hammers on a closed door does not reach the store.
 */
export class RefusalMemory {
  readonly #clock: Clock;
  readonly #refusals = new BoundedMap<string, Refusal>(remembered);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(subject: string, cost: number, decision: Decision): void {
    if (decision.reason !== "limit") return;
    this.#refusals.set(subject, { cost, decision, endsAt: this.#clock.monotonic() + decision.retryAfterMs });
  }

  recall(subject: string, cost: number): Decision | undefined {
    const refusal = this.#refusals.get(subject);
    if (refusal === undefined) return undefined;
    const left = Math.ceil(refusal.endsAt - this.#clock.monotonic());
    if (left <= 0) this.#refusals.delete(subject);
    return left > 0 && cost >= refusal.cost ? { ...refusal.decision, retryAfterMs: left } : undefined;
  }
}
