import { Cluster, type Redis } from "ioredis";
import { slotOf } from "./slots.ts";
import type { RedisClient } from "./connections.ts";

/** Milliseconds for every node to report what it knows of a run's data, from when this node first observed the run. */
const settleMs = 1_000;

/** How a script reports that it executed in another run than its caller assumed (see `run.lua`), and in which. */
const refusal = /(?:^|\s)(WRONGRUN|UNSETTLED) (\S+)/;

/** A script's knowledge of the run that its calls to one server go to. */
export interface KnownRun {
  /** Empty if unknown. */
  run: string;
  isSettled: boolean;
}

/**
 * The runs of Redis that a client uses. A run is one server process as a primary (`run.lua`); its data may lack the latest
 * writes that an earlier run acknowledged. A script executes in a run only if its caller names it, and callers learn it
 * from the script itself, again on each connection.
 */
export class Runs {
  /** Number of lost connections; each invalidates what was known. */
  connectionLosses = 0;
  readonly #client: RedisClient;
  readonly #settling = new Map<string, Promise<void>>();
  readonly #settled = new Set<string>();
  /** The last run of each place (a slot of a Cluster, else 0), and the previous one if a live server handed the slot over. */
  readonly #places = new Map<number, { run: string; movedFrom: string }>();
  readonly #listeners: (() => void)[] = [];

  constructor(client: RedisClient) {
    this.#client = client;
    const lost = (): void => {
      this.connectionLosses++;
      this.#places.clear();
    };
    client.on("close", lost);
    if (client instanceof Cluster) client.on("+node", (node: Redis) => node.on("close", lost));
  }

  /** The place of a key: calls with different places may go to different servers. */
  placeOf(key: string | undefined): number {
    return this.#client instanceof Cluster && key !== undefined ? slotOf(key) : 0;
  }

  /** The last arguments of a call to the place, as `run.lua` reads them. */
  arguments(place: number, { run, isSettled }: KnownRun): [string, string] {
    const mode = isSettled ? "settled" : "new";
    if (!(this.#client instanceof Cluster)) return [mode, run];
    return [`${mode} cluster ${this.#places.get(place)?.movedFrom ?? "-"}`, run];
  }

  runAt(place: number): string {
    return this.#places.get(place)?.run ?? "";
  }

  /** Whether every node has had time to report what it knows of the run's data. */
  isSettled(run: string): boolean {
    return this.#settled.has(run);
  }

  /** Calls `listener` when a run is observed for the first time. */
  onNewRun(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Notes that calls to the place go to this run. Resolves when the run is settled. */
  observe(place: number, run: string): Promise<void> {
    const before = this.#places.get(place);
    if (before?.run !== run) {
      // A failover starts a new run; slots are moved to an existing one.
      this.#places.set(place, { run, movedFrom: (this.#settled.has(run) && before?.run) || "-" });
    }
    return this.#settling.get(run) ?? this.#begin(run);
  }

  #begin(run: string): Promise<void> {
    const settling = new Promise<void>((resolve) => setTimeout(resolve, settleMs).unref()).then(
      () => void this.#settled.add(run),
    );
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

/** Undefined for other errors. */
export function refusedRun(error: unknown): { run: string; mustSettle: boolean } | undefined {
  const [, word, run = ""] = (error instanceof Error ? refusal.exec(error.message) : undefined) ?? [];
  return word === undefined ? undefined : { run, mustSettle: word === "UNSETTLED" };
}
