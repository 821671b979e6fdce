import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { WriteBehind } from "../runtime/write-behind.ts";

/** What this node counts under one key; users add the counts. */
export interface NodeCount {
  /** What the store may not have yet. */
  unwritten: "nothing" | "changes" | "everything";
  /** The node's name at the last write; undefined before the first. */
  writtenAs: string | undefined;
  writing: Promise<void> | undefined;
  /** Nothing was counted at the last sweep. */
  wasEmpty: boolean;
}

export interface CountWrite {
  /** This node's name. */
  node: string;
  /** Its name before its lease ended, if counts are still stored under that: they are void. */
  formerNode: string | undefined;
  /** The store may have lost earlier writes: everything must be written, not only changes. */
  isWhole: boolean;
}

export interface NodeCountsDeps<Count extends NodeCount> {
  create: () => Count;
  /** Writes the current counts, as absolute values: a repeat must be harmless. */
  write: (key: string, count: Count, as: CountWrite) => Promise<void>;
  isEmpty: (count: Count) => boolean;
  /** This node's name, which changes when its lease ends. */
  incarnation: () => string;
  /** False without a lease: nothing may be written under the node's name. Call `rewriteAll` when it has one again. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export interface NodeCountsOptions {
  /** What is written, for log lines. */
  description: string;
  /** Min milliseconds between two rounds of writes. */
  intervalMs: number;
  /** Max concurrent writes. */
  batchSize: number;
  /** TTL in the store. Omit if it keeps counts until they are removed. */
  ttlSeconds?: number;
}

/** Counts of 0 are kept for this long, to write them again if the store lost its last seconds. */
const sweepEveryMs = 60_000;

/**
 * What is counted on this node, written to the store under the node's name, so that all nodes together know the sum. Counts are
 * kept in memory and written shortly after they change, one write at a time per key. They are written again if a write failed,
 * if the store may have lost them, if their TTL requires it, and under the new name of a node whose lease has ended. What a dead
 * node has written is void: `Membership` tells readers which nodes are dead, and `Control.onDeadNode` removes it.
 */
export class NodeCounts<Count extends NodeCount> {
  readonly #deps: NodeCountsDeps<Count>;
  readonly #ttlSeconds: number | undefined;
  readonly #counts = new Map<string, Count>();
  readonly #writes: WriteBehind;
  #cancels: Cancel[] = [];

  constructor(deps: NodeCountsDeps<Count>, options: NodeCountsOptions) {
    this.#deps = deps;
    this.#ttlSeconds = options.ttlSeconds;
    const write = async (keys: readonly string[]): Promise<void> => {
      await Promise.all(keys.map((key) => this.flush(key)));
    };
    this.#writes = new WriteBehind({ ...deps, write }, options);
  }

  start(): void {
    const { clock } = this.#deps;
    this.#cancels = [clock.every(sweepEveryMs, () => this.#sweep())];
    if (this.#ttlSeconds !== undefined)
      this.#cancels.push(clock.every((this.#ttlSeconds / 8) * 1_000, () => this.rewriteAll()));
  }

  /** Writes all changes one last time. */
  stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    return this.#writes.stop();
  }

  get(key: string): Count | undefined {
    return this.#counts.get(key);
  }

  /** Begins to count if nothing was. */
  of(key: string): Count {
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const count = this.#deps.create();
    this.#counts.set(key, count);
    return count;
  }

  /** Call when a count has changed; it is written soon. */
  changed(key: string, count: Count): void {
    markChanged(count);
    this.#writes.add(key);
  }

  /** Writes a changed count now; if that fails, call `changed` for another try. */
  update(key: string, count: Count): Promise<void> {
    markChanged(count);
    return this.flush(key);
  }

  /** Resolves when all changes of the key up to now are written. Rejects if the store is unreachable. */
  async flush(key: string): Promise<void> {
    const count = this.#counts.get(key);
    await count?.writing?.catch(() => undefined);
    // Whatever began since includes them.
    if (count?.writing !== undefined) return count.writing;
    if (count !== undefined && count.unwritten !== "nothing") await this.#write(key, count);
  }

  /** Writes everything again: the store may have lost some of it, or this node has another name. */
  rewriteAll(): void {
    for (const [key, count] of this.#counts) {
      count.unwritten = "everything";
      this.#writes.add(key);
    }
  }

  #write(key: string, count: Count): Promise<void> {
    if (!this.#deps.mayWrite()) return Promise.reject(new Error("Connection is closed."));
    // Also a write that fails at once ends after it is known as being written.
    const writing = this.#writeNow(key, count).finally(() => (count.writing = undefined));
    count.writing = writing;
    return writing;
  }

  async #writeNow(key: string, count: Count): Promise<void> {
    const { incarnation, write } = this.#deps;
    const node = incarnation();
    const formerNode = count.writtenAs === node ? undefined : count.writtenAs;
    const isWhole = count.unwritten === "everything" || formerNode !== undefined;
    count.unwritten = "nothing";
    try {
      await write(key, count, { node, formerNode, isWhole });
      count.writtenAs = node;
    } catch (error) {
      // It may have been applied or not.
      if (isWhole) count.unwritten = "everything";
      else markChanged(count);
      throw error;
    }
  }

  #sweep(): void {
    for (const [key, count] of this.#counts) {
      const isEmpty = this.#deps.isEmpty(count) && count.writing === undefined && count.unwritten === "nothing";
      if (isEmpty && count.wasEmpty) this.#counts.delete(key);
      count.wasEmpty = isEmpty;
    }
  }
}

function markChanged(count: NodeCount): void {
  if (count.unwritten === "nothing") count.unwritten = "changes";
  count.wasEmpty = false;
}

/** Counts by name, such as a channel's members by user. */
export interface NamedCounts extends NodeCount {
  readonly counts: Map<string, number>;
  /** Names whose count is not written yet. */
  readonly dirty: Set<string>;
}

export const emptyNames = (): NamedCounts => ({ ...emptyCount(), counts: new Map(), dirty: new Set() });

export function addTo(counts: Map<string, number>, name: string, by: number): void {
  const count = (counts.get(name) ?? 0) + by;
  if (count === 0) counts.delete(name);
  else counts.set(name, count);
}

/** Writes all counts if `isWhole`, else the changed ones. */
export async function writeNames(
  { counts, dirty }: NamedCounts,
  isWhole: boolean,
  write: (counts: ReadonlyMap<string, number>) => Promise<unknown>,
): Promise<void> {
  const changed = [...dirty];
  dirty.clear();
  try {
    await write(isWhole ? new Map(counts) : new Map(changed.map((name) => [name, counts.get(name) ?? 0])));
  } catch (error) {
    for (const name of changed) dirty.add(name);
    throw error;
  }
}

/** Include it in scripts that write counts; see the file. */
export const writeCountScript = new URL("./write-count.lua", import.meta.url);

/** Nothing is counted, and nothing written. */
export const emptyCount = (): NodeCount => ({
  unwritten: "nothing",
  writtenAs: undefined,
  writing: undefined,
  wasEmpty: false,
});
