import { expect, onTestFinished, test } from "vitest";
import { sleep, systemClock } from "../../src/runtime/clock.ts";
import { startGateway } from "../support/gateway.ts";
import { startRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { eventually } from "../support/world.ts";

/** Commands of clients; what scripts call is theirs. */
const ofClients = /^cmdstat_(?:evalsha|eval|xread|spublish):calls=(\d+)/gm;

async function commandsOf(store: RedisProcess): Promise<number> {
  const stats = (await store.ask("INFO", "commandstats")) as string;
  return [...stats.matchAll(ofClients)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}

test("a node without connections asks its store less than a dozen things a second", async () => {
  const store = await startRedisProcess();
  onTestFinished(async () => void (await store.stop()));
  await startGateway({ env: { REDIS_URL: store.url } });
  await sleep(systemClock, 500);

  const [begun, before] = [performance.now(), await commandsOf(store)];
  await sleep(systemClock, 2_000);
  const asked = await eventually(async () => {
    const count = (await commandsOf(store)) - before;
    expect(count).toBeGreaterThan(5);
    return count;
  });
  const seconds = (performance.now() - begun) / 1_000;

  expect(asked).toBeLessThan(12 * seconds);
});
