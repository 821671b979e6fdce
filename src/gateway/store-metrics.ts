import { createDeadCommandStore } from "../commands/dead-command-store.ts";
import { readStreamBacklog } from "../commands/stream-backlog.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createDeadWebhookStore } from "../webhooks/dead-webhook-store.ts";
import type { Store } from "./store.ts";

export interface StoreMetricsDeps {
  store: Pick<Store, "commands" | "keys">;
  metrics: Pick<Metrics, "commandsWaiting" | "commandsLag" | "deadLetters" | "scheduled">;
  clock: Clock;
  /** Of the commands stream. */
  partitions: number | undefined;
}

/** Max milliseconds that a scrape waits for Redis. */
const scrapeTimeoutMs = 1_000;

/**
 * Metrics that are read from Redis by a scrape and only then: the backlog of commands, dead letters, and scheduled
 * publications. While Redis does not answer they have no samples, instead of old ones.
 */
export function collectStoreMetrics({ store, metrics, clock, partitions }: StoreMetricsDeps): void {
  const { commandsWaiting, commandsLag, deadLetters, scheduled } = metrics;
  const letters = { commands: createDeadCommandStore(store), webhooks: createDeadWebhookStore(store) };

  async function readBacklog(): Promise<void> {
    const backlog = await inTime(readStreamBacklog({ ...store, clock, partitions }), clock);
    if (backlog === undefined) return [commandsWaiting, commandsLag].forEach((gauge) => gauge.remove());
    commandsWaiting.set(backlog.pending.reduce((sum, { count }) => sum + count, backlog.undelivered));
    commandsLag.set(backlog.lagMs / 1_000);
  }

  async function readLetters(): Promise<void> {
    const counts = await inTime(Promise.all([letters.commands.count(), letters.webhooks.count()]), clock);
    if (counts === undefined) return deadLetters.reset();
    deadLetters.set({ of: "commands" }, counts[0]);
    deadLetters.set({ of: "webhooks" }, counts[1]);
  }

  async function readScheduled(): Promise<void> {
    const count = await inTime(store.commands.hlen(store.keys.scheduled()), clock);
    if (count === undefined) scheduled.remove();
    else scheduled.set(count);
  }
  Object.assign(commandsWaiting, { collect: readBacklog });
  Object.assign(deadLetters, { collect: readLetters });
  Object.assign(scheduled, { collect: readScheduled });
}

/** Undefined if it fails or takes too long. */
const inTime = <T>(reading: Promise<T>, clock: Clock): Promise<T | undefined> =>
  Promise.race([reading.catch(() => undefined), sleep(clock, scrapeTimeoutMs).then(() => undefined)]);
