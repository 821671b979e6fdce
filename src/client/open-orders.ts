import type { OpenOrder, OpenOrders, OrderSignalChange, OrderStatusChange } from "../protocol/orders.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter, type Off } from "./emitter.ts";
import { LiveChannel, type LiveSource } from "./live-channel.ts";
import { type Live, type LiveEvents, type LiveReading, LiveView } from "./live-view.ts";
import { isLater } from "./order-state.ts";

export interface LiveOrdersEvents extends LiveEvents {
  /** One of the user's orders moved to another status. */
  status: OrderStatusChange;
  signal: OrderSignalChange & { at: number };
  /** The list is another, and now this one. */
  change: readonly OpenOrder[];
}

/** The open orders of the signed-in user, newest first. */
export interface LiveOrders extends Live<LiveOrdersEvents> {
  readonly orders: readonly OpenOrder[];
}

/** Shortest time between two askings for the list, in milliseconds. */
const askEveryMs = 1_000;

/**
 * What a client knows of its user's open orders. A status tells neither who takes part in an order that is new nor
 * whether it ended one; so it counts at once for an order that is known, and the list is asked for again behind it.
 */
export class OpenOrdersReading implements LiveReading<LiveOrdersEvents> {
  readonly emitter = new Emitter<LiveOrdersEvents>();
  readonly live: LiveChannel<OpenOrders>;
  readonly #offUser: Off;
  #orders: readonly OpenOrder[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #askedAt = -askEveryMs;

  constructor(source: LiveSource) {
    this.live = new LiveChannel<OpenOrders>(
      source,
      { begin: ({ orders }) => this.#show(orders), follow: (publication) => this.#follow(publication) },
      this.emitter,
    );
    this.#offUser = source.onUser((userId) => this.live.open(`orders:${userId}`));
  }

  get orders(): readonly OpenOrder[] {
    return this.#orders;
  }

  get isOver(): boolean {
    return this.live.isOver;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#offUser();
    this.live.end();
  }

  #follow({ event, data, publishedAt }: WirePublication): void {
    if (event === "order.status") this.#move(data as OrderStatusChange, publishedAt);
    if (event === "order.signal") this.emitter.emit("signal", { ...(data as OrderSignalChange), at: publishedAt });
  }

  #move(change: OrderStatusChange, at: number): void {
    const known = this.#orders.find(({ orderId }) => orderId === change.orderId);
    if (known !== undefined && !isLater(change, known)) return;
    const { orderId, status, sequence } = change;
    const moved = (order: OpenOrder): OpenOrder =>
      order.orderId === orderId ? { ...order, status, sequence, updatedAt: at } : order;
    if (known !== undefined) this.#show(this.#orders.map(moved));
    this.emitter.emit("status", change);
    this.#askAgain();
  }

  #askAgain(): void {
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#askedAt + askEveryMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#askedAt = performance.now();
      this.live.renew();
    }, waitMs);
  }

  #show(orders: readonly OpenOrder[]): void {
    // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
    this.#orders = [...orders].sort((one, other) => other.createdAt - one.createdAt);
    this.emitter.emit("change", this.#orders);
  }
}

export class OpenOrdersView extends LiveView<LiveOrdersEvents, OpenOrdersReading> implements LiveOrders {
  get orders(): readonly OpenOrder[] {
    return this.reading.orders;
  }
}
