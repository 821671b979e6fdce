import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

export interface LocalOccupancyDeps {
  /** Writes to the store; rejects if Redis cannot be reached. */
  write: (entity: string, data: string, isHere: boolean) => Promise<void>;
  /** False while this node has no lease; `reset` is called when it has a new incarnation. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export interface LocalOccupancyOptions {
  /** Milliseconds until an entity that is gone is written as gone, so that a page reload is not reported. */
  settleMs: number;
}

/** One entity on this node. */
interface EntityState {
  data: string;
  count: number;
  /** Set while it is gone, but for less than `settleMs`. */
  settling: Cancel | undefined;
  /** Whether the store has it as occupied here. */
  stored: "yes" | "no" | "perhaps";
  isWriting: boolean;
}

/** Max concurrent writes. */
const maxAtOnce = 200;
const retryMs = 500;

/**
 * Counts of connections and subscribers on this node, by entity. A count that becomes positive is written to the store,
 * and so, after a delay, is one that becomes zero. It writes states and not changes, so nothing accumulates while Redis
 * cannot be reached and nothing is missing afterwards; entities that came and went meanwhile are never reported.
 */
export class LocalOccupancy {
  readonly #deps: LocalOccupancyDeps;
  readonly #settleMs: number;
  readonly #entities = new Map<string, EntityState>();
  readonly #dirty = new Set<string>();
  #writing = 0;
  /** Number of changes of the incarnation; a write under an earlier one does not count. */
  #renames = 0;
  #cancelRetry: Cancel | undefined;
  #isStopped = false;

  constructor(deps: LocalOccupancyDeps, { settleMs }: LocalOccupancyOptions) {
    this.#deps = deps;
    this.#settleMs = settleMs;
  }

  /** One more connection or subscriber. */
  enter(entity: string, data: string): void {
    const state = this.#entities.get(entity) ?? vacant(data);
    this.#entities.set(entity, state);
    state.count += 1;
    state.settling?.();
    state.settling = undefined;
    if (!isFlushed(state)) this.#markDirty(entity);
  }

  /** One less. */
  leave(entity: string): void {
    const state = this.#entities.get(entity);
    if (state === undefined || state.count === 0) return;
    state.count -= 1;
    if (state.count > 0) return;
    state.settling = this.#deps.clock.after(this.#settleMs, () => this.#gone(entity, state));
  }

  /** This node has a new incarnation, under which nothing is stored yet. */
  reset(): void {
    this.#renames += 1;
    for (const [entity, state] of this.#entities) {
      state.stored = "no";
      if (isOccupied(state)) this.#markDirty(entity);
      else this.#forget(entity, state);
    }
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
    for (const { settling } of this.#entities.values()) settling?.();
  }

  #gone(entity: string, state: EntityState): void {
    state.settling = undefined;
    if (isFlushed(state)) this.#forget(entity, state);
    else this.#markDirty(entity);
  }

  #markDirty(entity: string): void {
    this.#dirty.add(entity);
    this.#writeDirty();
  }

  #writeDirty(): void {
    if (this.#isStopped || this.#cancelRetry !== undefined || this.#dirty.size === 0) return;
    if (!this.#deps.mayWrite()) return this.#retryLater();
    for (const entity of this.#dirty) {
      if (this.#writing >= maxAtOnce) return;
      const state = this.#entities.get(entity);
      if (state?.isWriting === true) continue;
      this.#dirty.delete(entity);
      if (state !== undefined) void this.#write(entity, state);
    }
  }

  /** Never rejects. One write at a time per entity, so that the last write is the current state. */
  async #write(entity: string, state: EntityState): Promise<void> {
    const isHere = isOccupied(state);
    const renames = this.#renames;
    this.#writing += 1;
    state.isWriting = true;
    state.stored = "perhaps";
    const isWritten = await this.#deps.write(entity, state.data, isHere).then(
      () => true,
      (error: unknown) => this.#failed(error),
    );
    this.#writing -= 1;
    state.isWriting = false;
    if (isWritten && renames === this.#renames) state.stored = isHere ? "yes" : "no";
    if (!isFlushed(state)) this.#dirty.add(entity);
    else if (!isOccupied(state)) this.#forget(entity, state);
    this.#writeDirty();
  }

  #failed(error: unknown): false {
    if (this.#cancelRetry === undefined) {
      this.#deps.log.warn({ err: error }, "queueing webhook events failed; retrying");
      this.#retryLater();
    }
    return false;
  }

  #retryLater(): void {
    this.#cancelRetry = this.#deps.clock.after(retryMs, () => {
      this.#cancelRetry = undefined;
      this.#writeDirty();
    });
  }

  #forget(entity: string, state: EntityState): void {
    if (state.count > 0 || state.isWriting) return;
    this.#entities.delete(entity);
    this.#dirty.delete(entity);
  }
}

const vacant = (data: string): EntityState => ({
  data,
  count: 0,
  settling: undefined,
  stored: "no",
  isWriting: false,
});

/** It is here, or was less than `settleMs` ago. */
const isOccupied = ({ count, settling }: EntityState): boolean => count > 0 || settling !== undefined;

const isFlushed = (state: EntityState): boolean => state.stored === (isOccupied(state) ? "yes" : "no");
