import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Deliveries } from "./deliveries.ts";
import { createMessage, entityOf, freshId, turnOf, turnsOf, type StandingKind } from "./messages.ts";
import type { StandingStore } from "./standing-store.ts";
import { Standings } from "./standings.ts";

export interface OccupancyDeps {
  store: StandingStore;
  deliveries: Pick<Deliveries, "wanting" | "taken">;
  /** This node's name; another one where its lease has ended. */
  incarnation: () => string;
  /** False while this node has no lease. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

const mostDeparted = 4;
const mostAtOnce = 100;

/** What is somewhere at all, over all nodes: sessions with a connection, channels with a subscriber. */
export class Occupancy {
  readonly #deps: OccupancyDeps;
  readonly #settleMs: number;
  readonly #standings: Standings;

  constructor(deps: OccupancyDeps, { settleMs }: { settleMs: number }) {
    this.#deps = deps;
    this.#settleMs = settleMs;
    const say = (entity: string, data: string, isHere: boolean): Promise<void> =>
      this.#turn(deps.incarnation(), { entity, data }, isHere);
    this.#standings = new Standings({ ...deps, say }, { settleMs });
  }

  /** One more, or one less, of what makes it stand here; `data` is what is told of it. */
  change(kind: StandingKind, name: string, data: object, isHere: boolean): void {
    if (turnsOf(kind).every((event) => this.#deps.deliveries.wanting(event).length === 0)) return;
    const entity = entityOf(kind, name);
    if (isHere) this.#standings.enter(entity, JSON.stringify(data));
    else this.#standings.leave(entity);
  }

  /** A node has left or died: what stood there is told as gone unless it comes up elsewhere within a moment. */
  depart(node: string): Promise<void> {
    return this.#deps.store.depart(node, this.#settleMs);
  }

  /** This node goes by another name. */
  renamed(): void {
    this.#standings.sayAll();
  }

  /** Takes departed nodes out whose moment is over. */
  async lookAfter(): Promise<void> {
    for (const node of await this.#deps.store.departed(mostDeparted)) await this.#bury(node);
  }

  /** What stands here is left to those who live. */
  async stop(): Promise<void> {
    this.#standings.stop();
    await this.depart(this.#deps.incarnation());
  }

  async #bury(node: string): Promise<void> {
    const { store, log } = this.#deps;
    for (;;) {
      const standings = await store.standingAt(node, mostAtOnce);
      if (standings.length === 0) break;
      await Promise.all(standings.map((standing) => this.#turn(node, standing, false)));
    }
    await store.bury(node);
    log.debug({ gone: node }, "removed the occupancy of a node that left");
  }

  async #turn(node: string, standing: { entity: string; data: string }, isHere: boolean): Promise<void> {
    const { store, deliveries, clock } = this.#deps;
    const event = turnOf(standing.entity, isHere);
    const message = createMessage(event, standing.data, freshId(), clock.now());
    const turn = { message, endpoints: deliveries.wanting(event) };
    deliveries.taken(standing.entity, message, await store.stand(node, standing, isHere, turn));
  }
}
