import type { Subscriber } from "../channels/subscribers.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel } from "../runtime/clock.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { LocalState, type LocalStateDeps } from "./local-state.ts";

export interface LocalStatesDeps extends Omit<LocalStateDeps, "warn"> {
  keys: Pick<Keys, "channelState">;
  /** Milliseconds within which changes of a key are sent once. */
  windowOf: (channel: string) => number;
}

/** How often every state is read again: the loss of the last change shows in nothing else. Also extends its TTL. */
const checkEveryMs = 60_000;
/** Max states read at the same time. */
const maxConcurrentReads = 200;

/** The states of the channels with subscribers on this node. */
export class LocalStates {
  readonly #deps: LocalStateDeps & LocalStatesDeps;
  readonly #channels = new Map<string, LocalState>();
  #cancelChecks: Cancel | undefined;

  constructor(deps: LocalStatesDeps) {
    this.#deps = { ...deps, warn: createPacedWarnings(deps.log) };
  }

  start(): void {
    this.#cancelChecks = this.#deps.clock.every(checkEveryMs, () => this.readAgain());
  }

  stop(): void {
    this.#cancelChecks?.();
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  get(channel: string): LocalState | undefined {
    return this.#channels.get(channel);
  }

  add(channel: string, subscriber: Subscriber): void {
    const known = this.#channels.get(channel);
    const local = known ?? new LocalState(channel, this.#optionsOf(channel), this.#deps);
    if (known === undefined) this.#channels.set(channel, local);
    local.add(subscriber);
  }

  remove(channel: string, subscriber: Subscriber): void {
    const local = this.#channels.get(channel);
    local?.remove(subscriber);
    if (local?.subscriberCount !== 0) return;
    this.#channels.delete(channel);
    local.close();
  }

  /** Changes may have been missed. */
  readAgain(): void {
    void this.#readAll();
  }

  #optionsOf(channel: string) {
    return { feedKey: this.#deps.keys.channelState(channel).feed, windowMs: this.#deps.windowOf(channel) };
  }

  /** Not if its subscribers left while others were read: the feed may be its successor's. */
  #isOpen(channel: LocalState): boolean {
    return this.#channels.get(channel.name) === channel;
  }

  async #readAll(): Promise<void> {
    const channels = [...this.#channels.values()];
    for (let start = 0; start < channels.length; start += maxConcurrentReads) {
      const slice = channels.slice(start, start + maxConcurrentReads).filter((channel) => this.#isOpen(channel));
      // Each reports and retries what fails.
      await Promise.allSettled(slice.map((channel) => channel.readAgain()));
    }
  }
}
