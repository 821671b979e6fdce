import type {
  Order,
  OrderSignalChange,
  OrderStatusChange,
  OrderWithTimeline,
  TimelineEntry,
} from "../protocol/order.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter } from "./emitter.ts";
import { LiveChannel, type LiveViewContext } from "./live-channel.ts";
import { type Live, type LiveEvents, type SharedView, LiveView } from "./live-view.ts";
import { applySignal, applyStatus } from "./order-state.ts";

/** The latest value of something that changes often: a courier's location, an estimated time of arrival. */
export interface OrderSignal {
  name: string;
  data: unknown;
  /** Epoch milliseconds. */
  at: number;
}

export interface LiveOrderEvents extends LiveEvents {
  /** The order changed its status. Each change once. */
  status: TimelineEntry;
  signal: OrderSignal;
  /** The order changed to this, also after it was reloaded. */
  change: OrderWithTimeline;
}

/** An order as its parties see it: each status once and in order, and the latest signals. */
export interface LiveOrder extends Live<LiveOrderEvents> {
  readonly orderId: string;
  /** Undefined until `loaded`. */
  readonly order: Order | undefined;
  /** Its statuses, oldest first. */
  readonly timeline: readonly TimelineEntry[];
  readonly signals: Readonly<Order["signals"]>;
}

/** The state of one order, shared by its views. */
export class SharedOrder implements SharedView<LiveOrderEvents> {
  readonly emitter = new Emitter<LiveOrderEvents>();
  readonly live: LiveChannel<OrderWithTimeline>;
  readonly orderId: string;
  #known: OrderWithTimeline | undefined;

  constructor(orderId: string, context: LiveViewContext) {
    this.orderId = orderId;
    this.live = new LiveChannel<OrderWithTimeline>(
      context,
      { reset: (order) => this.#update(order), apply: (publication) => this.#apply(publication) },
      this.emitter,
    );
    this.live.open(`order:${orderId}`);
  }

  get known(): OrderWithTimeline | undefined {
    return this.#known;
  }

  get hasEnded(): boolean {
    return this.live.hasEnded;
  }

  end(): void {
    this.live.end();
  }

  #apply({ event, data, publishedAt }: WirePublication): void {
    if (event === "order.status") this.#move(data as OrderStatusChange, publishedAt);
    if (event === "order.updated") this.live.reloadSnapshot();
    if (event === "order.signal") this.#signal(data as OrderSignalChange, publishedAt);
  }

  #move(change: OrderStatusChange, at: number): void {
    const moved = this.#known === undefined ? undefined : applyStatus(this.#known, change, at);
    const entry = moved?.timeline[moved.timeline.length - 1];
    if (moved === undefined || entry === undefined) return;
    this.#update(moved);
    this.emitter.emit("status", entry);
  }

  #signal(change: OrderSignalChange, at: number): void {
    if (this.#known === undefined) return;
    this.#update(applySignal(this.#known, change, at));
    this.emitter.emit("signal", { name: change.name, data: change.data, at });
  }

  #update(order: OrderWithTimeline): void {
    this.#known = order;
    this.emitter.emit("change", order);
  }
}

export class OrderView extends LiveView<LiveOrderEvents, SharedOrder> implements LiveOrder {
  get orderId(): string {
    return this.shared.orderId;
  }

  get order(): Order | undefined {
    return this.shared.known?.order;
  }

  get timeline(): readonly TimelineEntry[] {
    return this.shared.known?.timeline ?? [];
  }

  get signals(): Order["signals"] {
    return this.shared.known?.order.signals ?? {};
  }
}
