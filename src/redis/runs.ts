import { Cluster, type Redis } from "ioredis";
import { slotOf } from "./slots.ts";
import type { RedisClient } from "./connections.ts";

/** Milliseconds every node has to say what it knows of the data of a run, from when this one first met that run. */
const settleMs = 1_000;

/** How a script says that it ran elsewhere than its caller thought (see `run.lua`), and where that was. */
const refusal = /(?:^|\s)(WRONGRUN|UNSETTLED) (\S+)/;

/** What one script knows of the run that its calls to one place go to. */
export interface KnownRun {
  /** Empty where it is not known. */
  readonly run: string;
  isSettled: boolean;
}

export const unknownRun: KnownRun = { run: "", isSettled: false };

/**
 * The runs of Redis that a client talks to. A run is one server process as a primary (`run.lua`); its data may lack the
 * end of what an earlier one acknowledged. A script takes part in a run only once its caller names it, and a caller
 * learns it from the script itself, on each connection anew.
 */
export class Runs {
  /** Counts lost connections: what was known before is known no more. */
  losses = 0;
  readonly #client: RedisClient;
  readonly #settling = new Map<string, Promise<void>>();
  readonly #listeners: (() => void)[] = [];

  constructor(client: RedisClient) {
    this.#client = client;
    const lost = (): void => void this.losses++;
    client.on("close", lost);
    if (client instanceof Cluster) client.on("+node", (node: Redis) => node.on("close", lost));
  }

  /** What tells calls apart that may go to different servers. */
  placeOf(key: string | undefined): number {
    return this.#client instanceof Cluster && key !== undefined ? slotOf(key) : 0;
  }

  get suffix(): string {
    return this.#client instanceof Cluster ? " cluster" : "";
  }

  /** Called when a run is met for the first time. */
  onMet(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Resolves when the run is settled. */
  settled(run: string): Promise<void> {
    const known = this.#settling.get(run);
    if (known !== undefined) return known;
    const settling = new Promise<void>((resolve) => setTimeout(resolve, settleMs).unref());
    this.#settling.set(run, settling);
    for (const listener of this.#listeners) listener();
    return settling;
  }
}

const known = new WeakMap<RedisClient, Runs>();

export function runsOf(client: RedisClient): Runs {
  const runs = known.get(client) ?? new Runs(client);
  known.set(client, runs);
  return runs;
}

/** Undefined where the error is of another kind. */
export function refusedRun(error: unknown): { run: string; mustSettle: boolean } | undefined {
  const [, word, run = ""] = (error instanceof Error ? refusal.exec(error.message) : undefined) ?? [];
  return word === undefined ? undefined : { run, mustSettle: word === "UNSETTLED" };
}
