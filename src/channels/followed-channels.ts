import { kindOf } from "../protocol/names.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { TrailChannel } from "./delivery-trail.ts";
import type { FollowedChannel } from "./followed-channel.ts";
import type { Subscriber } from "./subscribers.ts";

export interface FollowedChannelsDeps {
  clock: Clock;
  follow: (channel: string) => FollowedChannel;
  onWatched: (channelCount: number) => void;
  /**
   * Milliseconds a channel without subscribers stays followed. While this node may not deliver it stays, too: when Redis is
   * back, what this node was sent says whether the log is whole for those who return.
   */
  lingerMs: number;
  mayDeliver: () => boolean;
}

/** Most channels that linger; beyond, a channel is let go at once, so that churn cannot pile up subscriptions. */
const mostLingering = 1_000;

/** The channels this node follows: the first reader in begins it, the last one out ends it, a little later. */
export class FollowedChannels {
  readonly #deps: FollowedChannelsDeps;
  readonly #followed = new Map<string, FollowedChannel>();
  readonly #lingering = new Map<string, () => void>();

  constructor(deps: FollowedChannelsDeps) {
    this.#deps = deps;
  }

  get(channel: string): FollowedChannel | undefined {
    return this.#followed.get(channel);
  }

  all(): Iterable<FollowedChannel> {
    return this.#followed.values();
  }

  /** Channels with subscribers; of one kind where it is given. */
  *watched(kind?: string): Iterable<FollowedChannel> {
    for (const followed of this.#followed.values()) {
      if (followed.subscriberCount > 0 && (kind === undefined || kindOf(followed.name) === kind)) yield followed;
    }
  }

  /** Up to where each channel was delivered here, of those whose every publication is; `begun` is where the reader began. */
  standings(begun: ReadonlyMap<string, Position>): Map<string, TrailChannel> {
    const standings = new Map<string, TrailChannel>();
    for (const [channel, position] of begun) {
      const { passed, isConflated } = this.#followed.get(channel) ?? {};
      if (passed !== undefined && isConflated === false) standings.set(channel, { begun: position, passed });
    }
    return standings;
  }

  /** The channel, followed and with a known position. While this waits it may be let go by others: then once more. */
  async joined(channel: string): Promise<FollowedChannel> {
    for (;;) {
      const followed = this.#begin(channel);
      try {
        await followed.joined;
      } catch (error) {
        this.#drop(followed);
        throw error;
      }
      if (this.#followed.get(channel) === followed) return followed;
    }
  }

  leave(channel: string, subscriber: Subscriber): void {
    const followed = this.#followed.get(channel);
    if (followed === undefined) return;
    followed.leave(subscriber);
    if (followed.subscriberCount === 0) this.#linger(followed);
  }

  close(): void {
    for (const followed of this.#followed.values()) this.#drop(followed);
  }

  #begin(channel: string): FollowedChannel {
    this.#stopLingering(channel);
    const known = this.#followed.get(channel);
    if (known !== undefined) return known;
    const followed = this.#deps.follow(channel);
    this.#followed.set(channel, followed);
    this.#deps.onWatched(this.#followed.size);
    return followed;
  }

  #linger(followed: FollowedChannel): void {
    this.#stopLingering(followed.name);
    if (this.#lingering.size >= mostLingering) return this.#drop(followed);
    const cancel = this.#deps.clock.after(this.#deps.lingerMs, () => {
      this.#lingering.delete(followed.name);
      if (followed.subscriberCount > 0) return;
      if (this.#deps.mayDeliver()) this.#drop(followed);
      else this.#linger(followed);
    });
    this.#lingering.set(followed.name, cancel);
  }

  #stopLingering(channel: string): void {
    this.#lingering.get(channel)?.();
    this.#lingering.delete(channel);
  }

  #drop(followed: FollowedChannel): void {
    if (this.#followed.get(followed.name) !== followed) return;
    this.#followed.delete(followed.name);
    this.#stopLingering(followed.name);
    followed.close();
    this.#deps.onWatched(this.#followed.size);
  }
}
