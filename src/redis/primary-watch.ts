import { Redis } from "ioredis";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { RedisConnections } from "./connections.ts";
import { identifyServer, identityOf } from "./discover.ts";

export interface PrimaryWatchDeps {
  redis: RedisConnections;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two looks at where the address leads. */
const checkEveryMs = 5_000;
/** Milliseconds until the next look once it led elsewhere, so that a name of several servers is not followed in circles. */
const settleMs = 60_000;

/**
 * Keeps all connections of a node on one server. A failover may leave old connections open to a server that is no longer
 * the primary: one that was demoted refuses writes, which `commands` notices within a heartbeat; one that still takes
 * them is noticed by a fresh connection that leads elsewhere. Where `commands` comes back on another server, every
 * connection that is older follows it. A Cluster tells of its moves by itself.
 */
export class PrimaryWatch {
  readonly #deps: PrimaryWatchDeps;
  #runId: string | undefined;
  #leftAt = Number.NEGATIVE_INFINITY;
  #lookAgainAt = Number.NEGATIVE_INFINITY;
  #isLooking = false;
  #cancel: Cancel | undefined;

  constructor(deps: PrimaryWatchDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { redis, clock } = this.#deps;
    const commands = redis.connection("commands");
    if (!(commands instanceof Redis) || redis.address.topology === "embedded") return;
    commands.on("close", () => (this.#leftAt = performance.now()));
    commands.on("ready", () => void this.#arrived(commands, this.#leftAt));
    await this.#arrived(commands, this.#leftAt);
    this.#cancel = clock.every(checkEveryMs, () => void this.#look(commands));
  }

  stop(): void {
    this.#cancel?.();
  }

  async #arrived(commands: Redis, leftAt: number): Promise<void> {
    // Where it is away again, it arrives again.
    const { runId } = await identityOf(commands).catch(() => ({ runId: undefined }));
    const known = this.#runId;
    if (runId === undefined || runId === known) return;
    this.#runId = runId;
    if (known === undefined) return;
    this.#deps.log.info({ runId, before: known }, "connected to another Redis server");
    this.#deps.redis.reconnectOlderThan(leftAt);
  }

  async #look(commands: Redis): Promise<void> {
    const now = this.#deps.clock.monotonic();
    if (this.#isLooking || this.#runId === undefined || commands.status !== "ready" || now < this.#lookAgainAt) return;
    this.#isLooking = true;
    const found = await identifyServer(this.#deps.redis.address);
    this.#isLooking = false;
    if (found instanceof Error || found.isPrimary !== true || found.runId === this.#runId) return;
    this.#lookAgainAt = now + settleMs;
    this.#deps.log.warn({}, "the Redis address now resolves to another server; reconnecting");
    commands.disconnect(true);
  }
}
