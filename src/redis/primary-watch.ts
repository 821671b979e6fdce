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

/** Milliseconds between two checks of where the address leads. */
const checkEveryMs = 5_000;
/** Milliseconds until the next check after it led elsewhere, so that a name with several addresses causes no loop. */
const settleMs = 60_000;

/**
 * Keeps all connections of a node on one server. A failover may leave connections open to a server that is no longer the
 * primary: a demoted one refuses writes, which `commands` detects within a heartbeat; one that still accepts them is
 * detected by a new connection that leads elsewhere. When `commands` reconnects to another server, all older connections
 * are reopened. A Cluster reports its changes by itself.
 */
export class PrimaryWatch {
  readonly #deps: PrimaryWatchDeps;
  #runId: string | undefined;
  #disconnectedAt = Number.NEGATIVE_INFINITY;
  #checkAgainAt = Number.NEGATIVE_INFINITY;
  #isChecking = false;
  #cancel: Cancel | undefined;

  constructor(deps: PrimaryWatchDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { redis, clock } = this.#deps;
    const commands = redis.connection("commands");
    if (!(commands instanceof Redis) || redis.address.topology === "embedded") return;
    commands.on("close", () => (this.#disconnectedAt = performance.now()));
    commands.on("ready", () => void this.#onConnected(commands, this.#disconnectedAt));
    await this.#onConnected(commands, this.#disconnectedAt);
    this.#cancel = clock.every(checkEveryMs, () => void this.#check(commands));
  }

  stop(): void {
    this.#cancel?.();
  }

  async #onConnected(commands: Redis, disconnectedAt: number): Promise<void> {
    // If it is unreachable again, it will reconnect again.
    const { runId } = await identityOf(commands).catch(() => ({ runId: undefined }));
    const known = this.#runId;
    if (runId === undefined || runId === known) return;
    this.#runId = runId;
    if (known === undefined) return;
    this.#deps.log.info({ runId, before: known }, "Redis has restarted, or another server has taken over");
    this.#deps.redis.reconnectOlderThan(disconnectedAt);
  }

  async #check(commands: Redis): Promise<void> {
    const now = this.#deps.clock.monotonic();
    if (this.#isChecking || this.#runId === undefined || commands.status !== "ready" || now < this.#checkAgainAt)
      return;
    this.#isChecking = true;
    const found = await identifyServer(this.#deps.redis.address);
    this.#isChecking = false;
    if (found instanceof Error || found.isPrimary !== true || found.runId === this.#runId) return;
    this.#checkAgainAt = now + settleMs;
    this.#deps.log.warn({}, "the Redis address now resolves to another server; reconnecting");
    commands.disconnect(true);
  }
}
