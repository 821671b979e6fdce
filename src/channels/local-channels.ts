import { kindOf } from "../protocol/names.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { TrailChannel } from "./delivery-trail.ts";
import type { LocalChannel } from "./local-channel.ts";
import type { Subscriber } from "./subscribers.ts";

export interface LocalChannelsDeps {
  clock: Clock;
  create: (channel: string) => LocalChannel;
  onCount: (channelCount: number) => void;
  /** Milliseconds this node stays subscribed to a channel without subscribers. */
  lingerMs: number;
  /**
   * False while this node may still have to confirm the channel's position: when Redis is back, what this node received
   * shows whether the log is complete.
   */
  mayLeave: (channel: string) => boolean;
}

/**
 * Max channels that linger. Beyond that, a channel is dropped at once, so that churn cannot accumulate subscriptions.
 */
const maxLingering = 1_000;

/** Lingering channels are dropped late by at most this part of their time. */
const sweepsPerLinger = 50;

/**
 * The channels this node is subscribed to: from the first local subscriber until shortly after the last one has left.
 */
export class LocalChannels {
  readonly #deps: LocalChannelsDeps;
  readonly #local = new Map<string, LocalChannel>();
  /** Channels without subscribers and the monotonic time until which they stay, the earliest first. */
  readonly #lingering = new Map<string, number>();
  #isSweepPlanned = false;

  constructor(deps: LocalChannelsDeps) {
    this.#deps = deps;
  }

  get(channel: string): LocalChannel | undefined {
    return this.#local.get(channel);
  }

  all(): Iterable<LocalChannel> {
    return this.#local.values();
  }

  /** Channels with subscribers, optionally of one kind. */
  *withSubscribers(kind?: string): Iterable<LocalChannel> {
    for (const local of this.#local.values()) {
      if (local.subscriberCount > 0 && (kind === undefined || kindOf(local.name) === kind)) yield local;
    }
  }

  /** The subscriptions that start at `starts` and up to where they were delivered, without channels that conflate. */
  trailChannels(starts: ReadonlyMap<string, Position>): Map<string, TrailChannel> {
    const delivered = new Map<string, TrailChannel>();
    for (const [channel, position] of starts) {
      const { delivered: passed, isConflated } = this.#local.get(channel) ?? {};
      if (passed !== undefined && isConflated === false) delivered.set(channel, { start: position, delivered: passed });
    }
    return delivered;
  }

  /** Subscribes to a channel that will have a subscriber in a moment; without one it lingers and is dropped. */
  prepare(channel: string): void {
    if (this.#local.has(channel)) return;
    const local = this.#begin(channel);
    local.subscribed.catch(() => this.#drop(local));
    this.#lingerUntil(local, this.#deps.clock.monotonic() + this.#deps.lingerMs);
  }

  /** The channel if this node is subscribed to it already. The caller attaches a subscriber. */
  ready(channel: string): LocalChannel | undefined {
    const local = this.#local.get(channel);
    if (local?.position === undefined) return undefined;
    this.#lingering.delete(channel);
    return local;
  }

  /** Resolves to the channel once it is subscribed. Retries if others dropped it in the meantime. */
  async subscribed(channel: string): Promise<LocalChannel> {
    for (;;) {
      const local = this.#begin(channel);
      try {
        await local.subscribed;
      } catch (error) {
        this.#drop(local);
        throw error;
      }
      if (this.#local.get(channel) === local) return local;
    }
  }

  detach(channel: string, subscriber: Subscriber): void {
    const local = this.#local.get(channel);
    if (local === undefined) return;
    local.detach(subscriber);
    if (local.subscriberCount === 0) this.#linger(local);
  }

  close(): void {
    for (const local of this.#local.values()) this.#drop(local);
  }

  #begin(channel: string): LocalChannel {
    this.#lingering.delete(channel);
    const known = this.#local.get(channel);
    if (known !== undefined) return known;
    const local = this.#deps.create(channel);
    this.#local.set(channel, local);
    this.#deps.onCount(this.#local.size);
    return local;
  }

  #linger(local: LocalChannel): void {
    if (this.#lingering.size >= maxLingering) this.#drop(local);
    else this.#lingerUntil(local, this.#deps.clock.monotonic() + this.#deps.lingerMs);
  }

  #lingerUntil(local: LocalChannel, time: number): void {
    // Behind all others, which end earlier.
    this.#lingering.delete(local.name);
    this.#lingering.set(local.name, time);
    this.#sweepLater();
  }

  /** One timer for all: most channels of users linger once for each of their connections. */
  #sweepLater(): void {
    if (this.#isSweepPlanned) return;
    const [first] = this.#lingering.values();
    if (first === undefined) return;
    const { clock, lingerMs } = this.#deps;
    this.#isSweepPlanned = true;
    clock.after(Math.max(first - clock.monotonic(), lingerMs / sweepsPerLinger), () => {
      this.#isSweepPlanned = false;
      this.#sweep();
    });
  }

  #sweep(): void {
    const now = this.#deps.clock.monotonic();
    const ended = [...this.#lingering].filter(([, time]) => time <= now);
    for (const [channel] of ended) {
      this.#lingering.delete(channel);
      const local = this.#local.get(channel);
      if (local === undefined || local.subscriberCount > 0) continue;
      if (this.#deps.mayLeave(channel)) this.#drop(local);
      else this.#lingerUntil(local, now + this.#deps.lingerMs);
    }
    this.#sweepLater();
  }

  #drop(local: LocalChannel): void {
    if (this.#local.get(local.name) !== local) return;
    this.#local.delete(local.name);
    this.#lingering.delete(local.name);
    local.close();
    this.#deps.onCount(this.#local.size);
  }
}
