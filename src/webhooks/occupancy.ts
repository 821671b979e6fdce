import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Deliveries } from "./deliveries.ts";
import { createMessage, entityOf, freshId, eventOf, eventsOf, type OccupancyKind } from "./messages.ts";
import type { OccupancyStore } from "./occupancy-store.ts";
import { LocalOccupancy } from "./local-occupancy.ts";

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

const maxDepartedNodes = 4;
const maxAtOnce = 100;

/** Occupancy across all nodes: sessions with connections, channels with subscribers. */
export class Occupancy {
  readonly #deps: OccupancyDeps;
  readonly #settleMs: number;
  readonly #local: LocalOccupancy;

  constructor(deps: OccupancyDeps, { settleMs }: { settleMs: number }) {
    this.#deps = deps;
    this.#settleMs = settleMs;
    const write = (entity: string, data: string, isHere: boolean): Promise<void> =>
      this.#setOccupied(deps.incarnation(), { entity, data }, isHere);
    this.#local = new LocalOccupancy({ ...deps, write }, { settleMs });
  }

  /** One more or one less connection or subscriber here; `data` is the payload of the webhook. */
  change(kind: OccupancyKind, name: string, data: object, isHere: boolean): void {
    if (eventsOf(kind).every((event) => this.#deps.deliveries.endpointsFor(event).length === 0)) return;
    const entity = entityOf(kind, name);
    if (isHere) this.#local.enter(entity, JSON.stringify(data));
    else this.#local.leave(entity);
  }

  /** A node has left or died: its entities are reported as gone unless they become occupied elsewhere soon. */
  nodeLeft(node: string): Promise<void> {
    return this.#deps.store.nodeLeft(node, this.#settleMs);
  }

  /** This node has a new incarnation. */
  renamed(): void {
    this.#local.reset();
  }

  /** Removes the occupancy of nodes that left a while ago. */
  async removeDepartedNodes(): Promise<void> {
    for (const node of await this.#deps.store.claimDeparted(maxDepartedNodes)) await this.#removeNode(node);
  }

  /** Live nodes take care of this node's entities. */
  async stop(): Promise<void> {
    this.#local.stop();
    await this.nodeLeft(this.#deps.incarnation());
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

  async #setOccupied(node: string, occupied: { entity: string; data: string }, isHere: boolean): Promise<void> {
    const { store, deliveries, clock } = this.#deps;
    const event = eventOf(occupied.entity, isHere);
    const message = createMessage(event, occupied.data, freshId(), clock.now());
    const change = { message, endpoints: deliveries.endpointsFor(event) };
    deliveries.enqueued(occupied.entity, message, await store.setOccupied(node, occupied, isHere, change));
  }
}
