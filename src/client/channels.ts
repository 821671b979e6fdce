import { ChannelHandle } from "./channel.ts";
import type { SubscriptionContext } from "./subscription.ts";

interface WeakReference {
  deref(): ChannelHandle | undefined;
}

/** Undefined if the engine lacks it (Hermes); every channel then lives as long as its client. */
function observeCollection(collected: (name: string) => void): FinalizationRegistry<string> | undefined {
  const isSupported = typeof FinalizationRegistry === "function" && typeof WeakRef === "function";
  return isSupported ? new FinalizationRegistry(collected) : undefined;
}

/**
 * A client's channels by name. The same name returns the same channel while it is referenced. Channels that are in use
 * (subscribed or listened to) are referenced here; others only by their users, so that a process that publishes to a
 * million channels does not keep them.
 */
export class ChannelRegistry {
  readonly #context: SubscriptionContext;
  readonly #onChange: () => void;
  readonly #inUse = new Set<ChannelHandle>();
  readonly #recovering = new Set<ChannelHandle>();
  readonly #byName = new Map<string, WeakReference>();
  readonly #collected = observeCollection((name) => {
    if (this.#byName.get(name)?.deref() === undefined) this.#byName.delete(name);
  });

  constructor(context: SubscriptionContext, onChange: () => void) {
    this.#context = context;
    this.#onChange = onChange;
  }

  get(name: string): ChannelHandle {
    return this.find(name) ?? this.#add(name);
  }

  find(name: string): ChannelHandle | undefined {
    return this.#byName.get(name)?.deref();
  }

  get isRecovering(): boolean {
    return this.#recovering.size > 0;
  }

  /** The channels in use. */
  [Symbol.iterator](): Iterator<ChannelHandle> {
    for (const channel of this.#inUse) if (!channel.isInUse) this.#inUse.delete(channel);
    return [...this.#inUse].values();
  }

  #add(name: string): ChannelHandle {
    const channel = new ChannelHandle(name, this.#context, (handle) => this.#track(handle));
    this.#byName.set(name, this.#collected === undefined ? { deref: () => channel } : new WeakRef(channel));
    this.#collected?.register(channel, name);
    return channel;
  }

  #track(channel: ChannelHandle): void {
    if (channel.isInUse) this.#inUse.add(channel);
    else this.#inUse.delete(channel);
    if (channel.state === "recovering") this.#recovering.add(channel);
    else this.#recovering.delete(channel);
    this.#onChange();
  }
}
