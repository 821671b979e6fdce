import { randomUUID } from "node:crypto";
import type { Cancel, Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logger.ts";
import type { RedisClient } from "../connections.ts";
import type { Keys } from "../keys.ts";
import { isTimeout } from "../outage.ts";
import type { FeedConnections, ShardedFeed } from "./sharded-feed.ts";
import { reconnect } from "../slots.ts";

export interface PubSubProbeDeps {
  feed: ShardedFeed & FeedConnections;
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
  /** Called when the probe drops a connection. */
  onReconnect: () => void;
}

export interface PubSubProbeOptions {
  /** Milliseconds between two probes. @default 1000 */
  intervalMs?: number;
}

/** Consecutive probes that may be lost, or time out, before the connection is reopened. */
const maxMisses = 3;

/** Max keys tried to find one for each connection: enough for hundreds of masters. */
const maxCandidates = 4_096;

/**
 * Publishes to itself every second over each connection of the feed and checks that the message comes back. A connection
 * may be open but dead, may lead to a Redis that is no longer the primary, or may lack a subscription; nothing else
 * would detect it.
 */
export class PubSubProbe {
  readonly #deps: PubSubProbeDeps;
  readonly #intervalMs: number;
  readonly #name = randomUUID();
  readonly #probes = new Set<ConnectionProbe>();
  #isRunning = false;
  #cancel: Cancel | undefined;

  constructor(deps: PubSubProbeDeps, { intervalMs = 1_000 }: PubSubProbeOptions = {}) {
    this.#deps = deps;
    this.#intervalMs = intervalMs;
  }

  /** Whether publications reach this node. False about three intervals after they no longer do. */
  get isHealthy(): boolean {
    const since = this.#deps.clock.monotonic() - (maxMisses + 0.5) * this.#intervalMs;
    return this.#probes.size > 0 && [...this.#probes].every(({ receivedAt }) => receivedAt > since);
  }

  async start(): Promise<void> {
    await this.#run();
    this.#cancel = this.#deps.clock.every(this.#intervalMs, () => {
      // A connection that confirms slowly must not pile up runs.
      if (!this.#isRunning) void this.#run();
    });
  }

  stop(): void {
    this.#cancel?.();
    for (const probe of this.#probes) this.#remove(probe);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (const probe of this.#probes) probe.check();
    await this.#coverConnections();
    for (const probe of this.#probes) probe.send();
    this.#isRunning = false;
  }

  /** One probe for each connection, whichever slots it currently serves. */
  async #coverConnections(): Promise<void> {
    const { feed, keys } = this.#deps;
    const covered = new Set<object>();
    for (const probe of this.#probes) {
      const connection = feed.connectionOf(probe.key);
      if (connection === undefined || covered.has(connection)) this.#remove(probe);
      else covered.add(connection);
    }
    for (let n = 0; n < maxCandidates && covered.size < feed.connectionCount; n++) {
      const key = keys.probe(this.#name, n);
      const connection = feed.connectionOf(key);
      if (connection === undefined || covered.has(connection)) continue;
      covered.add(connection);
      await this.#add(new ConnectionProbe(key, this.#deps));
    }
  }

  async #add(probe: ConnectionProbe): Promise<void> {
    this.#probes.add(probe);
    try {
      await this.#deps.feed.subscribe(probe.key, (message) => probe.receive(Number(message)));
    } catch {
      // The connection is down; the next run tries again.
      this.#remove(probe);
    }
  }

  #remove(probe: ConnectionProbe): void {
    this.#probes.delete(probe);
    this.#deps.feed.unsubscribe(probe.key);
  }
}

/** The numbered messages sent over one connection, and which of them came back. */
class ConnectionProbe {
  readonly key: string;
  receivedAt = Number.NEGATIVE_INFINITY;
  readonly #deps: PubSubProbeDeps;
  #sent = 0;
  #published = 0;
  #received = 0;
  #misses = 0;
  #timeouts = 0;

  constructor(key: string, deps: PubSubProbeDeps) {
    this.key = key;
    this.#deps = deps;
  }

  send(): void {
    const sequence = ++this.#sent;
    this.#deps.commands.spublish(this.key, `${sequence}`).then(
      () => {
        this.#published = sequence;
        this.#timeouts = 0;
      },
      (error: unknown) => {
        // A connection without a greeting from Redis waits forever as well.
        const isUnanswered = isTimeout(error) || this.#deps.commands.status === "connect";
        if (isUnanswered && ++this.#timeouts >= maxMisses) this.#reconnectCommands();
      },
    );
  }

  receive(sequence: number): void {
    if (!(sequence > this.#received && sequence <= this.#sent)) return;
    const isGap = sequence > this.#received + 1;
    this.#received = sequence;
    this.receivedAt = this.#deps.clock.monotonic();
    // If a probe is missing, publications may be missing too.
    if (isGap) this.#deps.feed.reportGap();
  }

  /** Whatever Redis accepted one interval ago must have come back by now. */
  check(): void {
    this.#misses = this.#published > this.#received ? this.#misses + 1 : 0;
    if (this.#misses >= maxMisses) this.#reconnectFeed();
  }

  #reconnectFeed(): void {
    this.#misses = 0;
    this.#deps.log.warn({ role: "subscriber" }, "pub/sub probe lost; reconnecting the subscriber");
    this.#deps.onReconnect();
    this.#deps.feed.reconnect(this.key);
  }

  #reconnectCommands(): void {
    this.#timeouts = 0;
    this.#deps.log.debug({ role: "commands" }, "Redis does not answer; reconnecting");
    this.#deps.onReconnect();
    reconnect(this.#deps.commands, this.key);
  }
}
