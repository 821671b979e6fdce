import type {
  Order,
  OrderSignalChange,
  OrderStatusChange,
  OrderWithTimeline,
  TimelineEntry,
} from "../protocol/orders.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter } from "./emitter.ts";
import { LiveChannel, type LiveSource } from "./live-channel.ts";
import { type Live, type LiveEvents, type LiveReading, LiveView } from "./live-view.ts";
import { applySignal, applyStatus } from "./order-state.ts";

/** The latest of what changes all the time: a courier's place, an estimated arrival. */
export interface OrderSignal {
  name: string;
  data: unknown;
  /** Epoch milliseconds. */
  at: number;
}

export interface LiveOrderEvents extends LiveEvents {
  /** The order moved to another status. Never one that it had already. */
  status: TimelineEntry;
  signal: OrderSignal;
  /** Anything about it is another, and now this; also when it was taken anew after a long absence. */
  change: OrderWithTimeline;
}

/** An order as its parties see it: each status once and in order, and the latest of its signals. */
export interface LiveOrder extends Live<LiveOrderEvents> {
  readonly orderId: string;
  /** Undefined until `loaded`. */
  readonly order: Order | undefined;
  /** Its statuses from the beginning on. */
  readonly timeline: readonly TimelineEntry[];
  readonly signals: Readonly<Order["signals"]>;
}

/** What a client knows of one order, whoever looks at it. */
export class OrderReading implements LiveReading<LiveOrderEvents> {
  readonly emitter = new Emitter<LiveOrderEvents>();
  readonly live: LiveChannel<OrderWithTimeline>;
  readonly orderId: string;
  #known: OrderWithTimeline | undefined;

  constructor(orderId: string, source: LiveSource) {
    this.orderId = orderId;
    this.live = new LiveChannel<OrderWithTimeline>(
      source,
      { begin: (order) => this.#show(order), follow: (publication) => this.#follow(publication) },
      this.emitter,
    );
    this.live.open(`order:${orderId}`);
  }

  get known(): OrderWithTimeline | undefined {
    return this.#known;
  }

  get isOver(): boolean {
    return this.live.isOver;
  }

  end(): void {
    this.live.end();
  }

  #follow({ event, data, publishedAt }: WirePublication): void {
    if (event === "order.status") this.#move(data as OrderStatusChange, publishedAt);
    if (event === "order.signal") this.#signal(data as OrderSignalChange, publishedAt);
  }

  #move(change: OrderStatusChange, at: number): void {
    const moved = this.#known === undefined ? undefined : applyStatus(this.#known, change, at);
    const entry = moved?.timeline[moved.timeline.length - 1];
    if (moved === undefined || entry === undefined) return;
    this.#show(moved);
    this.emitter.emit("status", entry);
  }

  #signal(change: OrderSignalChange, at: number): void {
    if (this.#known === undefined) return;
    this.#show(applySignal(this.#known, change, at));
    this.emitter.emit("signal", { name: change.name, data: change.data, at });
  }

  #show(order: OrderWithTimeline): void {
    this.#known = order;
    this.emitter.emit("change", order);
  }
}

export class OrderView extends LiveView<LiveOrderEvents, OrderReading> implements LiveOrder {
  get orderId(): string {
    return this.reading.orderId;
  }

  get order(): Order | undefined {
    return this.reading.known?.order;
  }

  get timeline(): readonly TimelineEntry[] {
    return this.reading.known?.timeline ?? [];
  }

  get signals(): Order["signals"] {
    return this.reading.known?.order.signals ?? {};
  }
}
