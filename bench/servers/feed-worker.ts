/**
 * A worker's feed of one hot channel, with a subscription of its own or through the feed hub, and the hub itself.
 *
 * `node bench/servers/feed-worker.ts own <redis://…> <channel>`, `… shared <redis://…> <channel> <socket>` or
 * `… hub <redis://…> <channel> <socket>`. Prints `ready`; counts messages and answers a line of input with their number.
 */
import { createRedisConnections } from "../../src/redis/connections.ts";
import { FeedHub } from "../../src/redis/pubsub/feed-hub.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { WorkerFeed } from "../../src/redis/pubsub/worker-feed.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";

const [, , role, url = "", channel = "", path = ""] = process.argv;
const log = createLogger({ level: "warn" });
const redis = createRedisConnections({ address: { topology: "single", url }, nodeId: `${role}`, log });
const own = createShardedFeed({ subscriber: redis.connection("subscriber"), clock });
let messages = 0;
const count = (): void => void (messages += 1);

const start: Record<string, () => Promise<void>> = {
  own: () => own.subscribe(channel, count),
  hub: () => new FeedHub({ feed: own, isHealthy: () => true, log }, { path }).start(),
  async shared() {
    const feed = new WorkerFeed({ own, path, clock, log });
    await feed.start();
    await feed.subscribe(channel, count);
  },
};

await start[`${role}`]?.();
process.stdin.on("data", () => process.stdout.write(`${messages}\n`));
process.stdout.write("ready\n");
