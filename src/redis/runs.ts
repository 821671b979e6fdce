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
  run: string;
  isSettled: boolean;
}

/**
 * The runs of Redis that a client talks to. A run is one server process as a primary (`run.lua`); its data may lack the
 * end of what an earlier one acknowledged. A script takes part in a run only once its caller names it, and a caller
 * learns it from the script itself, on each connection anew.
 */
export class Runs {
  /** Counts lost connections: what was known before is known no more. */
  connectionLosses = 0;
  readonly #client: RedisClient;
  readonly #settling = new Map<string, Promise<void>>();
  readonly #settled = new Set<string>();
  /** The last run of each place, and the one before where the place moved from a living server to another. */
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

  /** What tells calls apart that may go to different servers. */
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

  /** Called when a run is met for the first time. */
  onNewRun(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Calls to the place go to this run. Resolves when it is settled. */
  observe(place: number, run: string): Promise<void> {
    const before = this.#places.get(place);
    if (before?.run !== run) {
      // A failover is a new run; slots are moved to one that has been there.
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

/** Undefined where the error is of another kind. */
export function refusedRun(error: unknown): { run: string; mustSettle: boolean } | undefined {
  const [, word, run = ""] = (error instanceof Error ? refusal.exec(error.message) : undefined) ?? [];
  return word === undefined ? undefined : { run, mustSettle: word === "UNSETTLED" };
}
