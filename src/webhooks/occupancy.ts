import { emptyCount, NodeCounts, type NodeCount } from "../cluster/node-counts.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Deliveries } from "./deliveries.ts";
import { createMessage, entityOf, freshId, eventOf, eventsOf, type OccupancyKind } from "./messages.ts";
import type { OccupancyStore, OccupiedEntity } from "./occupancy-store.ts";

export interface OccupancyDeps {
  store: OccupancyStore;
  deliveries: Pick<Deliveries, "endpointsFor" | "enqueued">;
  /** This node's incarnation; changes if its lease has expired. */
  incarnation: () => string;
  /** False while this node has no lease. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

/** One entity on this node. */
interface EntityCount extends NodeCount {
  data: string;
  count: number;
  /** Set while it is gone, but for less than `settleMs`. */
  settling: Cancel | undefined;
  /** As last written, or being written. */
  isWrittenHere: boolean;
}

const maxDepartedNodes = 4;
const maxAtOnce = 100;

/**
 * Occupancy across all nodes: sessions with connections, channels with subscribers. What is written is whether an entity is
 * here, and that it is gone only `settleMs` later, so that a page reload is not reported. So nothing accumulates while Redis
 * cannot be reached, and entities that came and went meanwhile are never reported.
 */
export class Occupancy {
  readonly #deps: OccupancyDeps;
  readonly #settleMs: number;
  readonly #entities: NodeCounts<EntityCount>;

  constructor(deps: OccupancyDeps, { settleMs }: { settleMs: number }) {
    this.#deps = deps;
    this.#settleMs = settleMs;
    this.#entities = new NodeCounts<EntityCount>(
      {
        ...deps,
        create: () => ({ ...emptyCount(), data: "", count: 0, settling: undefined, isWrittenHere: false }),
        isEmpty: (state) => !isHere(state),
        write: (entity, state, { node }) => {
          state.isWrittenHere = isHere(state);
          return this.#setOccupied(node, { entity, data: state.data }, state.isWrittenHere);
        },
      },
      { description: "webhook events", intervalMs: 10, batchSize: 200 },
    );
  }

  start(): void {
    this.#entities.start();
  }

  /** One more or one less connection or subscriber here; `data` is the payload of the webhook. */
  change(kind: OccupancyKind, name: string, data: object, isMore: boolean): void {
    if (eventsOf(kind).every((event) => this.#deps.deliveries.endpointsFor(event).length === 0)) return;
    const entity = entityOf(kind, name);
    if (isMore) this.#enter(entity, JSON.stringify(data));
    else this.#leave(entity);
  }

  /** A node has left or died: its entities are reported as gone unless they become occupied elsewhere soon. */
  nodeLeft(node: string): Promise<void> {
    return this.#deps.store.nodeLeft(node, this.#settleMs);
  }

  /** Redis may have lost some of it, or this node has a new incarnation. */
  rewriteAll(): void {
    this.#entities.rewriteAll();
  }

  /** Removes the occupancy of nodes that left a while ago. */
  async removeDepartedNodes(): Promise<void> {
    for (const node of await this.#deps.store.claimDeparted(maxDepartedNodes)) await this.#removeNode(node);
  }

  /** Live nodes take care of this node's entities. */
  async stop(): Promise<void> {
    await this.#entities.stop();
    await this.nodeLeft(this.#deps.incarnation());
  }

  #enter(entity: string, data: string): void {
    const state = this.#entities.of(entity);
    state.data = data;
    state.count += 1;
    state.settling?.();
    state.settling = undefined;
    if (!state.isWrittenHere) this.#entities.changed(entity, state);
  }

  #leave(entity: string): void {
    const state = this.#entities.get(entity);
    if (state === undefined || state.count === 0) return;
    state.count -= 1;
    if (state.count > 0) return;
    state.settling = this.#deps.clock.after(this.#settleMs, () => {
      state.settling = undefined;
      if (state.isWrittenHere) this.#entities.changed(entity, state);
    });
  }

  async #removeNode(node: string): Promise<void> {
    const { store, log } = this.#deps;
    for (;;) {
      const occupied = await store.occupiedAt(node, maxAtOnce);
      if (occupied.length === 0) break;
      await Promise.all(occupied.map((entity) => this.#setOccupied(node, entity, false)));
    }
    await store.removeNode(node);
    log.debug({ gone: node }, "removed the occupancy of a node that left");
  }

  async #setOccupied(node: string, occupied: OccupiedEntity, isOccupied: boolean): Promise<void> {
    const { store, deliveries, clock } = this.#deps;
    const event = eventOf(occupied.entity, isOccupied);
    const message = createMessage(event, occupied.data, freshId(), clock.now());
    const change = { message, endpoints: deliveries.endpointsFor(event) };
    deliveries.enqueued(occupied.entity, message, await store.setOccupied(node, occupied, isOccupied, change));
  }
}

/** Or was less than `settleMs` ago. */
const isHere = ({ count, settling }: EntityCount): boolean => count > 0 || settling !== undefined;
