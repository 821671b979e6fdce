import { Command } from "ioredis";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Deadlines } from "../../src/redis/deadlines.ts";
import { promised, timed } from "../support/promised.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { quietLog } from "../support/world.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A command on its way, and how it ended. */
function send(deadlines: Deadlines) {
  const command = new Command("ping");
  const leaving = deadlines.batchAt(performance.now()).add(command);
  const sent = { command, leaving, error: undefined as Error | undefined };
  command.promise.catch((error: Error) => (sent.error = error));
  return sent;
}

it("times out commands without a reply, at most a tenth of a second late, and nothing else", async () => {
  const deadlines = new Deadlines(2_000);
  const first = send(deadlines);
  const answered = send(deadlines);
  answered.leaving.delete(answered.command);
  await vi.advanceTimersByTimeAsync(150);
  const later = send(deadlines);

  await vi.advanceTimersByTimeAsync(1_849);
  const before = first.error;
  await vi.advanceTimersByTimeAsync(101);

  expect(before).toBeUndefined();
  expect(first.error?.message).toBe("Command timed out");
  expect([answered.error, later.error]).toEqual([undefined, undefined]);
  await vi.advanceTimersByTimeAsync(200);
  expect(later.error?.message).toBe("Command timed out");
});

it("needs one timer for any number of commands, and none when idle", async () => {
  const deadlines = new Deadlines(2_000);
  for (let n = 0; n < 1_000; n++) send(deadlines);
  const busy = vi.getTimerCount();

  await vi.advanceTimersByTimeAsync(3_000);

  expect(busy).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
});

it("does so on a store that hangs", { timeout: 120_000, ...timed }, async () => {
  vi.useRealTimers();
  const store = await startRedisProcess();
  const redis = createRedisConnections({ address: { topology: "single", url: store.url }, nodeId: "a", log: quietLog });
  try {
    await redis.ready(60_000);
    const commands = redis.connection("commands");
    store.freeze();
    const begun = performance.now();

    await expect(Promise.all([commands.get("a"), commands.get("b")])).rejects.toThrow("Command timed out");

    expect(performance.now() - begun).toBeLessThan(promised(2_500));
    store.thaw();
    await expect(commands.get("a")).resolves.toBeNull();
  } finally {
    await redis.close();
    await store.stop();
  }
});
