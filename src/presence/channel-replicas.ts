import type { Cancel, Clock } from "../runtime/clock.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { ChannelReplica, type DeadNodes, type ChannelReplicaDeps } from "./channel-replica.ts";

export interface ChannelReplicasDeps extends Omit<ChannelReplicaDeps, "warn"> {
  membership: DeadNodes & { onDead(listener: (node: string) => void): void };
  clock: Clock;
}

/** Milliseconds a replica is kept that nothing on this node needs, for the next request. */
const lingerMs = 10_000;
/** Max replicas that linger; the oldest is dropped first. */
const maxLingering = 1_000;
const checkEveryMs = 30_000;
/** Max channels read or checked at the same time. */
const maxConcurrentReads = 200;

/** Replicas of the channels with subscribers on this node and, for a while, of those that were requested. */
export class ChannelReplicas {
  readonly #deps: ChannelReplicasDeps & Pick<ChannelReplicaDeps, "warn">;
  readonly #channels = new Map<string, ChannelReplica>();
  /** Subscribers on this node. */
  readonly #needed = new Map<string, number>();
  /** In the order in which they began to linger. */
  readonly #lingering = new Map<string, Cancel>();
  #cancelChecks: Cancel | undefined;

  constructor(deps: ChannelReplicasDeps) {
    this.#deps = { ...deps, warn: createPacedWarnings(deps.log) };
  }

  start(): void {
    const { feed, membership, clock } = this.#deps;
    feed.onRestored(() => void this.#all((channel) => channel.readAgain()));
    membership.onDead((node) => this.#drop(node));
    this.#cancelChecks = clock.every(checkEveryMs, () => void this.#all((channel) => channel.check()));
  }

  stop(): void {
    this.#cancelChecks?.();
    for (const channel of this.#channels.values()) this.#close(channel);
  }

  /** A connection on this node subscribed to the channel. */
  retain(name: string): void {
    this.#needed.set(name, (this.#needed.get(name) ?? 0) + 1);
    this.#cancelLinger(name);
    this.#of(name)
      .synced()
      .catch(() => undefined); // Reported where it happens, and tried again.
  }

  /** A connection on this node unsubscribed. */
  release(name: string): void {
    const needed = (this.#needed.get(name) ?? 0) - 1;
    if (needed > 0) return void this.#needed.set(name, needed);
    this.#needed.delete(name);
    this.#linger(name);
  }

  /** The channel's replica, in sync. Rejects if Redis cannot be read. */
  async of(name: string): Promise<ChannelReplica> {
    const channel = this.#of(name);
    if (!this.#needed.has(name)) this.#linger(name);
    await channel.synced();
    return channel;
  }

  #of(name: string): ChannelReplica {
    const known = this.#channels.get(name);
    if (known !== undefined) return known;
    const channel = new ChannelReplica(name, this.#deps);
    this.#channels.set(name, channel);
    return channel;
  }

  #linger(name: string): void {
    this.#cancelLinger(name);
    const cancel = this.#deps.clock.after(lingerMs, () => this.#endLinger(name));
    this.#lingering.set(name, cancel);
    if (this.#lingering.size <= maxLingering) return;
    const [oldest] = this.#lingering.keys();
    if (oldest !== undefined) this.#endLinger(oldest);
  }

  #cancelLinger(name: string): void {
    this.#lingering.get(name)?.();
    this.#lingering.delete(name);
  }

  #endLinger(name: string): void {
    this.#cancelLinger(name);
    const channel = this.#channels.get(name);
    if (channel !== undefined) this.#close(channel);
  }

  #close(channel: ChannelReplica): void {
    this.#channels.delete(channel.name);
    channel.close();
  }

  #drop(node: string): void {
    for (const channel of this.#channels.values()) channel.drop(node);
  }

  async #all(act: (channel: ChannelReplica) => Promise<void>): Promise<void> {
    const channels = [...this.#channels.values()];
    for (let start = 0; start < channels.length; start += maxConcurrentReads) {
      const slice = channels.slice(start, start + maxConcurrentReads).filter(({ name }) => this.#channels.has(name));
      // The channel itself reports and retries what fails.
      await Promise.allSettled(slice.map(act));
    }
  }
}
