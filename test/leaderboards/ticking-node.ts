// A process that ticks the boards it is given, as a node does on which somebody watches them. Made to be killed.
import { createKinds } from "../../src/channels/kinds.ts";
import type { BoardSettings } from "../../src/leaderboards/boards.ts";
import { createLeaderboards } from "../../src/leaderboards/leaderboards.ts";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";

const [url = "", prefix = "", settings = "{}"] = process.argv.slice(2);
const boards = JSON.parse(settings) as Record<string, BoardSettings>;
const log = createLogger({ level: "error" });
const redis = createRedisConnections({
  address: { topology: "single", url },
  nodeId: `ticker-${process.pid}`,
  log,
});
const [commands, subscriber] = [redis.connection("commands"), redis.connection("subscriber")];
await redis.ready(60_000);

const leaderboards = createLeaderboards(
  {
    commands,
    isCluster: false,
    feed: createShardedFeed({ subscriber, clock: systemClock }),
    keys: createKeys(prefix),
    kinds: createKinds({}),
    clock: systemClock,
    log,
  },
  { boards, sweepMs: 100 },
);
await leaderboards.start?.();
for (const board of Object.keys(boards)) {
  leaderboards.onSubscription({ channel: `leaderboard:${board}`, isSubscribed: true });
}
process.stdout.write("ticking\n");
