import { randomUUID } from "node:crypto";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { RedisClient } from "./connections.ts";
import type { Keys } from "./keys.ts";
import { isTimeout } from "./outage.ts";
import type { FeedConnections, ShardedFeed } from "./sharded-feed.ts";
import { reconnect } from "./slots.ts";

export interface CanaryDeps {
  feed: ShardedFeed & FeedConnections;
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
  /** A connection was given up. */
  onReconnect: () => void;
}

export interface CanaryOptions {
  /** Milliseconds between two songs. @default 1000 */
  beatMs?: number;
}

/** Songs without an echo, or commands without an answer, until a connection is given up. */
const mostMisses = 3;

/** Keys tried to find one for each connection: enough for hundreds of masters. */
const mostCandidates = 4_096;

/**
 * Publishes to itself every second, over each connection of the feed, and listens whether it comes back. A connection
 * may be open and dead, may lead to a Redis that is no longer the one to talk to, or may lack a subscription; nothing
 * else would ever tell.
 */
export class Canary {
  readonly #deps: CanaryDeps;
  readonly #beatMs: number;
  readonly #name = randomUUID();
  readonly #voices = new Set<Voice>();
  #isBeating = false;
  #cancel: Cancel | undefined;

  constructor(deps: CanaryDeps, { beatMs = 1_000 }: CanaryOptions = {}) {
    this.#deps = deps;
    this.#beatMs = beatMs;
  }

  /** Whether publications reach this node. False some three beats after they no longer do. */
  get isHeard(): boolean {
    const since = this.#deps.clock.monotonic() - (mostMisses + 0.5) * this.#beatMs;
    return this.#voices.size > 0 && [...this.#voices].every(({ heardAt }) => heardAt > since);
  }

  async start(): Promise<void> {
    await this.#beat();
    this.#cancel = this.#deps.clock.every(this.#beatMs, () => {
      // A connection that is slow to confirm must not pile up beats.
      if (!this.#isBeating) void this.#beat();
    });
  }

  stop(): void {
    this.#cancel?.();
    for (const voice of this.#voices) this.#silence(voice);
  }

  async #beat(): Promise<void> {
    this.#isBeating = true;
    for (const voice of this.#voices) voice.check();
    await this.#cover();
    for (const voice of this.#voices) voice.sing();
    this.#isBeating = false;
  }

  /** One voice for each connection, whichever slots it has at the moment. */
  async #cover(): Promise<void> {
    const { feed, keys } = this.#deps;
    const covered = new Set<object>();
    for (const voice of this.#voices) {
      const connection = feed.connectionOf(voice.key);
      if (connection === undefined || covered.has(connection)) this.#silence(voice);
      else covered.add(connection);
    }
    for (let n = 0; n < mostCandidates && covered.size < feed.connectionCount; n++) {
      const key = keys.canary(this.#name, n);
      const connection = feed.connectionOf(key);
      if (connection === undefined || covered.has(connection)) continue;
      covered.add(connection);
      await this.#raise(new Voice(key, this.#deps));
    }
  }

  async #raise(voice: Voice): Promise<void> {
    this.#voices.add(voice);
    try {
      await this.#deps.feed.follow(voice.key, (message) => voice.hear(Number(message)));
    } catch {
      // The connection is away; the next beat tries again.
      this.#silence(voice);
    }
  }

  #silence(voice: Voice): void {
    this.#voices.delete(voice);
    this.#deps.feed.unfollow(voice.key);
  }
}

/** What is sung over one connection, and what of it was heard. */
class Voice {
  readonly key: string;
  heardAt = Number.NEGATIVE_INFINITY;
  readonly #deps: CanaryDeps;
  #sung = 0;
  #published = 0;
  #heard = 0;
  #misses = 0;
  #timeouts = 0;

  constructor(key: string, deps: CanaryDeps) {
    this.key = key;
    this.#deps = deps;
  }

  sing(): void {
    const song = ++this.#sung;
    this.#deps.commands.spublish(this.key, `${song}`).then(
      () => {
        this.#published = song;
        this.#timeouts = 0;
      },
      (error: unknown) => {
        // Connected, and not greeted: that connection waits for ever as well.
        const isUnanswered = isTimeout(error) || this.#deps.commands.status === "connect";
        if (isUnanswered && ++this.#timeouts >= mostMisses) this.#giveUpCommands();
      },
    );
  }

  hear(song: number): void {
    if (!(song > this.#heard && song <= this.#sung)) return;
    const isGap = song > this.#heard + 1;
    this.#heard = song;
    this.heardAt = this.#deps.clock.monotonic();
    // Where a song is missing, so may be others' words.
    if (isGap) this.#deps.feed.reportGap();
  }

  /** What Redis took a beat ago has come back by now. */
  check(): void {
    this.#misses = this.#published > this.#heard ? this.#misses + 1 : 0;
    if (this.#misses >= mostMisses) this.#giveUpFeed();
  }

  #giveUpFeed(): void {
    this.#misses = 0;
    this.#deps.log.warn({ role: "subscriber" }, "pub/sub probe lost; reconnecting the subscriber");
    this.#deps.onReconnect();
    this.#deps.feed.reconnect(this.key);
  }

  #giveUpCommands(): void {
    this.#timeouts = 0;
    this.#deps.log.debug({ role: "commands" }, "Redis does not answer; reconnecting");
    this.#deps.onReconnect();
    reconnect(this.#deps.commands, this.key);
  }
}
