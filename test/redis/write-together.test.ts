import type { Duplex } from "node:stream";
import { expect, it, vi } from "vitest";
import { settled } from "../support/fake-clock.ts";
import { redisWorld } from "../support/world.ts";

it("commands of one tick are sent in one write, in order", async () => {
  const { redis, prefix } = await redisWorld();
  const commands = redis.connection("commands");
  const { stream } = commands as unknown as { stream: Duplex };
  const key = `${prefix}:list`;
  const writes = vi.spyOn(stream, "_writev" as never);

  const first = [commands.rpush(key, "1"), commands.rpush(key, "2"), commands.lrange(key, 0, -1)] as const;
  await Promise.resolve();
  const later = commands.rpush(key, "3");
  await settled();
  const [, , seen] = await Promise.all(first);
  await later;

  expect(seen).toEqual(["1", "2"]);
  expect(writes).toHaveBeenCalledTimes(1);
  expect(await commands.lrange(key, 0, -1)).toEqual(["1", "2", "3"]);
});

it("what is sent while the connection is lost fails as always, and the next connection works alike", async () => {
  const { redis } = await redisWorld();
  const commands = redis.connection("commands");
  const { stream } = commands as unknown as { stream: Duplex };

  const lost = commands.ping();
  stream.destroy();
  await expect(lost).rejects.toThrow();
  await expect.poll(() => commands.ping().catch(() => "away")).toBe("PONG");

  expect(await Promise.all([commands.ping(), commands.echo("a")])).toEqual(["PONG", "a"]);
});
