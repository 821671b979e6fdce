import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { FlightStore } from "./flight-store.ts";

/** Milliseconds between two looks whether another node has loaded a value. */
const lookEveryMs = 10;
/** Milliseconds after which a node loads by itself what another does not bring. */
const patienceMs = 2_000;

/** One load of a value at a time, over all nodes. */
export class Flights {
  readonly #deps: { store: FlightStore; clock: Clock; log: Logger };
  /** Those this node has begun. */
  readonly #own = new Set<string>();

  constructor(deps: { store: FlightStore; clock: Clock; log: Logger }) {
    this.#deps = deps;
  }

  /** The value, where another node has just loaded it; undefined where the caller must, and then end the flight. */
  async join<T>(key: string, find: () => Promise<T | undefined>): Promise<T | undefined> {
    const deadline = this.#deps.clock.monotonic() + patienceMs;
    while (this.#deps.clock.monotonic() < deadline) {
      if (await this.#begin(key)) return undefined;
      await sleep(this.#deps.clock, lookEveryMs);
      const found = await find();
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Harmless where this node has none of that key. */
  end(key: string): void {
    if (!this.#own.delete(key)) return;
    const { store, log } = this.#deps;
    // It ends by itself where the store is away.
    store.end(key).catch((error: unknown) => log.debug({ reason: String(error) }, "flight not ended"));
  }

  /** True also where the store is away: then everybody loads. */
  async #begin(key: string): Promise<boolean> {
    const isFirst = await this.#deps.store.begin(key).catch(() => true);
    if (isFirst) this.#own.add(key);
    return isFirst;
  }
}
