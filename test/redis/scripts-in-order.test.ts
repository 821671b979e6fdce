import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { loadBatchedScript, loadScript, runScript } from "../../src/redis/scripts.ts";
import { redisWorld } from "../support/world.ts";

/** A script that nobody else has: Redis does not know it before it is run. */
function freshScript(text: string): URL {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-script-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "fresh.lua");
  writeFileSync(file, `-- ${Math.random()}\n${text}`);
  return pathToFileURL(file);
}

test.each([
  ["alone", loadScript],
  ["in a batch", loadBatchedScript],
])("a script that runs %s is given its own arguments only", async (_how, load) => {
  const { redis, prefix } = await redisWorld();
  const count = load(redis.connection("commands"), freshScript("return #ARGV"), [runScript]);

  expect(await count.run([`${prefix}:any`], ["one", "two"])).toBe(2);
});

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("calls take effect in the order they were made, also while Redis forgets the script", async () => {
  const { redis, prefix } = await redisWorld();
  const commands = redis.connection("commands");
  const push = loadScript(commands, freshScript("return redis.call('RPUSH', KEYS[1], ARGV[1])"));
  const key = `${prefix}:list`;

  const calls: Promise<unknown>[] = [];
  for (let number = 0; number < 3_000; number += 1) {
    calls.push(push.run([key], [number]));
    if (number % 100 === 50) void commands.script("FLUSH");
    if (number % 7 === 0) await soon();
  }
  await Promise.all(calls);

  const numbers = (await commands.lrange(key, 0, -1)).map(Number);
  expect(numbers).toEqual(Array.from({ length: 3_000 }, (_, number) => number));
});

test("calls take effect in order, even if another node loads the script that Redis forgot", async () => {
  const nodes = await Promise.all([redisWorld(), redisWorld(undefined, "other")]);
  const file = freshScript("return redis.call('RPUSH', KEYS[1], ARGV[1])");
  const [own, other] = nodes.map(({ redis }) => loadScript(redis.connection("commands"), file));
  const flush = () => nodes[0].redis.connection("commands").script("FLUSH");
  const key = `${nodes[0].prefix}:list`;

  const calls: Promise<unknown>[] = [];
  for (let number = 0; number < 3_000; number += 1) {
    calls.push(own!.run([key], [number]), other!.run([`${key}:other`], [number]));
    if (number % 100 === 50) void flush();
    if (number % 7 === 0) await soon();
  }
  await Promise.all(calls);

  const numbers = (await nodes[0].redis.connection("commands").lrange(key, 0, -1)).map(Number);
  expect(numbers).toEqual(Array.from({ length: 3_000 }, (_, number) => number));
});

test("calls take effect in order, even if another node enters a new run of Redis between two of them", async () => {
  const { redis, prefix } = await redisWorld();
  // The first call is refused, as while no node has told what it knows; before the second, another node has.
  const file = freshScript(`
    checkRun()
    if runMode == 'new' and redis.call('SET', KEYS[2], 'entered', 'NX') then error({ err = 'UNSETTLED ' .. knownRun }) end
    return redis.call('RPUSH', KEYS[1], ARGV[1])`);
  const commands = redis.connection("commands");
  const push = loadScript(commands, file, [runScript]);
  const [list, run] = [`${prefix}:list`, `${prefix}:run`];

  await Promise.all([1, 2, 3, 4].map((number) => push.run([list, run], [number])));

  expect(await commands.lrange(list, 0, -1)).toEqual(["1", "2", "3", "4"]);
});
