import type { OpenOrder, OpenOrders, OrderSignalChange, OrderStatusChange } from "../protocol/order.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter, type Off } from "./emitter.ts";
import { LiveChannel, type LiveViewContext } from "./live-channel.ts";
import { type Live, type LiveEvents, type SharedView, LiveView } from "./live-view.ts";
import { isLater } from "./order-state.ts";

export interface LiveOrdersEvents extends LiveEvents {
  /** One of the user's orders changed its status. */
  status: OrderStatusChange;
  signal: OrderSignalChange & { at: number };
  /** The list changed to this one. */
  change: readonly OpenOrder[];
}

/** The open orders of the signed-in user, newest first. */
export interface LiveOrders extends Live<LiveOrdersEvents> {
  readonly orders: readonly OpenOrder[];
}

/** Min time between two reloads of the list, in milliseconds. */
const reloadEveryMs = 1_000;

/**
 * The user's open orders, shared by their views. A status change has neither the parties of a new order nor whether the
 * order has ended, so it is applied at once to a known order, and the list is reloaded afterwards.
 */
export class SharedOpenOrders implements SharedView<LiveOrdersEvents> {
  readonly emitter = new Emitter<LiveOrdersEvents>();
  readonly live: LiveChannel<OpenOrders>;
  readonly #offUser: Off;
  #orders: readonly OpenOrder[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reloadedAt = -reloadEveryMs;

  constructor(context: LiveViewContext) {
    this.live = new LiveChannel<OpenOrders>(
      context,
      { reset: ({ orders }) => this.#update(orders), apply: (publication) => this.#apply(publication) },
      this.emitter,
    );
    this.#offUser = context.onUser((userId) => this.live.open(`orders:${userId}`));
  }

  get orders(): readonly OpenOrder[] {
    return this.#orders;
  }

  get hasEnded(): boolean {
    return this.live.hasEnded;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#offUser();
    this.live.end();
  }

  #apply({ event, data, publishedAt }: WirePublication): void {
    if (event === "order.status") this.#move(data as OrderStatusChange, publishedAt);
    else if (event === "order.signal") this.emitter.emit("signal", { ...(data as OrderSignalChange), at: publishedAt });
    else this.#reloadSoon();
  }

  #move(change: OrderStatusChange, at: number): void {
    const known = this.#orders.find(({ orderId }) => orderId === change.orderId);
    if (known !== undefined && !isLater(change, known)) return;
    const { orderId, status, sequence } = change;
    const moved = (order: OpenOrder): OpenOrder =>
      order.orderId === orderId ? { ...order, status, sequence, updatedAt: at } : order;
    if (known !== undefined) this.#update(this.#orders.map(moved));
    this.emitter.emit("status", change);
    this.#reloadSoon();
  }

  #reloadSoon(): void {
    if (this.#timer !== undefined) return;
    const waitMs = Math.max(0, this.#reloadedAt + reloadEveryMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#reloadedAt = performance.now();
      this.live.reloadSnapshot();
    }, waitMs);
  }

  #update(orders: readonly OpenOrder[]): void {
    // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
    this.#orders = [...orders].sort((one, other) => other.createdAt - one.createdAt);
    this.emitter.emit("change", this.#orders);
  }
}

export class OpenOrdersView extends LiveView<LiveOrdersEvents, SharedOpenOrders> implements LiveOrders {
  get orders(): readonly OpenOrder[] {
    return this.shared.orders;
  }
}
