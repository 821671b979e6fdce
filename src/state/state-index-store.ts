import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";

/**
 * Which channels have state, and in which of them connections of a node own keys. Both may name channels where that is over,
 * and are written before the state, so they name every channel where it is not.
 */
export interface StateIndexStore {
  register(channel: string): Promise<void>;
  /** All channels, in pages. */
  pages(): AsyncIterable<string[]>;
  registerOwned(node: string, channel: string): Promise<void>;
  ownedBy(node: string): Promise<string[]>;
  forgetNode(node: string): Promise<void>;
  /** Redis may have lost what this node has registered: it is registered again with the next change. */
  forgetRegistered(): void;
}

export interface StateIndexOptions {
  /** Seconds the state of a channel is kept after its last change or subscription. */
  idleSeconds: number;
}

/** TTL of what is registered for a node. */
export const ownedTtlSeconds = 2 * 86_400;
/** Registrations that a node remembers, so that it need not repeat them. */
const maxRemembered = 20_000;
const pageSize = 200;

export function createStateIndexStore(
  { commands, keys, clock }: { commands: RedisClient; keys: Keys; clock: Clock },
  { idleSeconds }: StateIndexOptions,
): StateIndexStore {
  const channels = new Registrations(clock, idleSeconds / 8);
  const owned = new Registrations(clock, ownedTtlSeconds / 8);
  const seconds = (): number => Math.floor(clock.now() / 1_000);

  return {
    register: (channel) => channels.once(channel, () => commands.zadd(keys.stateChannels(), seconds(), channel)),

    async *pages() {
      await commands.zremrangebyscore(keys.stateChannels(), "-inf", seconds() - 2 * idleSeconds);
      // By name: a registration meanwhile moves none.
      let cursor = "0";
      do {
        const [next, flat] = await commands.zscan(keys.stateChannels(), cursor, "COUNT", pageSize);
        yield flat.filter((_, index) => index % 2 === 0);
        cursor = next;
      } while (cursor !== "0");
    },

    registerOwned: (node, channel) =>
      owned.once(`${node} ${channel}`, async () => {
        await commands.sadd(keys.ownedStates(node), channel);
        await commands.expire(keys.ownedStates(node), ownedTtlSeconds);
      }),

    ownedBy: (node) => commands.smembers(keys.ownedStates(node)),

    async forgetNode(node) {
      await commands.unlink(keys.ownedStates(node));
    },

    forgetRegistered() {
      for (const registrations of [channels, owned]) registrations.clear();
    },
  };
}

/** What was registered within a time, as far as this node remembers. */
class Registrations {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  readonly #until = new BoundedMap<string, number>(maxRemembered);

  constructor(clock: Clock, lifeSeconds: number) {
    this.#clock = clock;
    this.#lifeMs = lifeSeconds * 1_000;
  }

  clear(): void {
    this.#until.clear();
  }

  async once(name: string, register: () => Promise<unknown>): Promise<void> {
    const now = this.#clock.monotonic();
    if ((this.#until.get(name) ?? 0) > now) return;
    await register();
    // Behind the others, which end earlier.
    this.#until.delete(name);
    this.#until.set(name, now + this.#lifeMs);
  }
}
