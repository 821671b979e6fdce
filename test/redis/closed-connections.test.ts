import { once } from "node:events";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { freshPrefix, quietLog, redisWorld } from "../support/world.ts";

/** Connections of a node that no other test has. */
function connectionsOf(nodeId: string) {
  const clock = new FakeClock();
  const address = { topology: "single", url: inject("redisUrl") } as const;
  return { clock, redis: createRedisConnections({ address, nodeId, log: quietLog, clock }) };
}

test("a command that was in flight when connections were closed does not open another one", async () => {
  const nodeId = freshPrefix();
  const { clock, redis } = connectionsOf(nodeId);
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const waiting = commands.blpop("nothing", 0).catch((error: Error) => error.message);

  await redis.close();
  expect(await waiting).toBe("Connection is closed.");
  await clock.advance(2_000);

  // Opened later than any that the clock has made.
  const other = (await redisWorld()).redis.connection("commands");
  expect(await other.client("LIST")).not.toContain(nodeId);
});

test("a connection that had just ended when all were closed is not reopened", async () => {
  const { redis } = connectionsOf(freshPrefix());
  const client = redis.connection("bridges");
  await redis.ready(60_000);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const connect = vi.spyOn(client, "connect");
  const ended = once(client, "end");
  client.disconnect();
  await ended;

  await redis.close();
  await vi.advanceTimersByTimeAsync(10_000);

  expect(connect).not.toHaveBeenCalled();
  expect(client.status).toBe("end");
});
