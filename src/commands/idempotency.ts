import { randomUUID } from "node:crypto";
import { idempotencyDefaults } from "../channels/publication.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createIdempotencyStore } from "./idempotency-store.ts";

/**
 * Runs a write once per scope and key, across all nodes and interfaces. A repeat with the same content gets the first
 * response; with different content it is a `conflict`; one that arrives while the first runs waits for it. Refusals are
 * not stored, because they changed nothing: a repeat is tried again.
 *
 * The response is stored after the write: if a node dies in between, a repeat runs again. Operations for which that matters
 * check the key in their own scripts, as publishing, orders and scores do.
 */
export type RunOnce = <A>(write: IdempotentWrite, run: () => Promise<A>) => Promise<A>;

export interface IdempotentWrite {
  /** Scope of the key: an operation and what it applies to. */
  scope: string;
  key: string;
  /** Of the content. */
  fingerprint: string;
  /** How long the response is kept. @default as configured */
  ttlSeconds?: number | undefined;
}

export interface IdempotencyOptions {
  /** TTL of a response in seconds. @default 86400 */
  ttlSeconds?: number;
  /** Duration of a claim in milliseconds, which the first call renews. @default 5000 */
  claimMs?: number;
  /** Milliseconds a repeat waits for the first. @default 10000 */
  waitMs?: number;
}

export interface IdempotencyDeps {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
}

const defaults = { ...idempotencyDefaults, claimMs: 5_000, waitMs: 10_000 };

/** Milliseconds between two checks of a waiting repeat. */
const firstPauseMs = 10;
const longestPauseMs = 160;

export function createRunOnce(
  { commands, keys, clock, log }: IdempotencyDeps,
  options: IdempotencyOptions = {},
): RunOnce {
  const { claimMs, waitMs, ttlSeconds: defaultTtlSeconds } = { ...defaults, ...options };
  const store = createIdempotencyStore({ commands, keys }, { claimMs, ttlSeconds: defaultTtlSeconds });

  async function first<A>(
    { scope, key, ttlSeconds }: IdempotentWrite,
    holder: string,
    run: () => Promise<A>,
  ): Promise<A> {
    const warn = (error: unknown) => log.warn({ err: error }, "renewing an idempotency key failed");
    const cancel = clock.every(claimMs / 3, () => void store.renew(scope, key, holder).catch(warn));
    try {
      const answer = await run();
      await store.end(scope, key, holder, { answer: JSON.stringify(answer), ttlSeconds }).catch(warn);
      return answer;
    } catch (error) {
      await store.end(scope, key, holder, undefined).catch(warn);
      throw error;
    } finally {
      cancel();
    }
  }

  return async (write, run) => {
    const holder = randomUUID();
    const until = clock.monotonic() + waitMs;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const begun = await store.begin(write.scope, write.key, write.fingerprint, holder);
      if (begun.outcome === "run") return first(write, holder, run);
      if (begun.outcome === "done") return JSON.parse(begun.answer) as Awaited<ReturnType<typeof run>>;
      if (begun.outcome === "conflict") throw otherContent();
      if (clock.monotonic() >= until) throw stillRunning();
      await sleep(clock, pauseMs);
    }
  };
}

const otherContent = (): GatewayError =>
  new GatewayError("conflict", "The idempotency key was already used with different content.", {
    field: "idempotencyKey",
  });

const stillRunning = (): GatewayError =>
  new GatewayError("unavailable", "The first call with this idempotency key is still running.", {
    retryAfterMs: 1_000,
  });
