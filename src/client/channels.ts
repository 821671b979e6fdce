import { ChannelHandle } from "./channel.ts";
import type { Link } from "./subscription.ts";

interface Reference {
  deref(): ChannelHandle | undefined;
}

/** Undefined where the engine cannot tell (Hermes): there every channel is kept for as long as its client. */
function watchCollection(collected: (name: string) => void): FinalizationRegistry<string> | undefined {
  const isSupported = typeof FinalizationRegistry === "function" && typeof WeakRef === "function";
  return isSupported ? new FinalizationRegistry(collected) : undefined;
}

/**
 * A client's channels by name. The same name gives the same channel for as long as anybody holds it; one that is in use
 * (subscribed or listened to) is held here, any other only while its user does. So a process that publishes into a
 * million channels does not keep them.
 */
export class Channels {
  readonly #link: Link;
  readonly #changed: () => void;
  readonly #inUse = new Set<ChannelHandle>();
  readonly #recovering = new Set<ChannelHandle>();
  readonly #byName = new Map<string, Reference>();
  readonly #forgotten = watchCollection((name) => {
    if (this.#byName.get(name)?.deref() === undefined) this.#byName.delete(name);
  });

  constructor(link: Link, changed: () => void) {
    this.#link = link;
    this.#changed = changed;
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

  /** Those in use at this moment. */
  [Symbol.iterator](): Iterator<ChannelHandle> {
    for (const channel of this.#inUse) if (!channel.isInUse) this.#inUse.delete(channel);
    return [...this.#inUse].values();
  }

  #add(name: string): ChannelHandle {
    const channel = new ChannelHandle(name, this.#link, (handle) => this.#note(handle));
    this.#byName.set(name, this.#forgotten === undefined ? { deref: () => channel } : new WeakRef(channel));
    this.#forgotten?.register(channel, name);
    return channel;
  }

  #note(channel: ChannelHandle): void {
    if (channel.isInUse) this.#inUse.add(channel);
    else this.#inUse.delete(channel);
    if (channel.state === "recovering") this.#recovering.add(channel);
    else this.#recovering.delete(channel);
    this.#changed();
  }
}
