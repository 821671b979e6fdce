import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { loadBatchedScript, type Script } from "../../src/redis/scripts.ts";
import { startStore, type StoreLab } from "../support/store-lab.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

/** Appends its arguments to its key, and answers in the way it is told to. */
const text = `
local function answer(how)
  if how == 'nothing' then return nil end
  if how == 'fail' then return redis.call('HGET', KEYS[1], 'not a hash') end
  if how == 'throw' then error('thrown') end
  return { KEYS[1], redis.call('LLEN', KEYS[1]), #KEYS, #ARGV }
end
for i = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
return answer(ARGV[1])
`;

describe.each(["single", "cluster"] as const)("batched scripts on %s", (topology) => {
  let store: StoreLab;
  beforeAll(async () => void (store = await startStore(topology)));
  afterAll(() => store.stop());

  async function start() {
    const redis = createRedisConnections({ address: store.address, nodeId: "test", log: quietLog });
    onTestFinished(() => redis.close());
    const commands = redis.connection("commands");
    await redis.ready(60_000);
    const folder = mkdtempSync(join(tmpdir(), "tidegate-script-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "push.lua");
    writeFileSync(file, `-- ${Math.random()}\n${text}`);
    const prefix = freshPrefix();
    const script = loadBatchedScript(commands, pathToFileURL(file));
    const other = join(folder, "other.lua");
    writeFileSync(other, "return { 'other', KEYS[1], ARGV[1] }");
    const load = (): Script => loadBatchedScript(commands, pathToFileURL(other));
    return { commands, script, loadOther: load, keyOf: (name: string) => `${prefix}:{${name}}` };
  }

  test("each gets its own keys, arguments and reply", async () => {
    const { script, keyOf } = await start();
    const [a, b] = [keyOf("a"), keyOf("b")];

    const replies = await Promise.all([
      script.run([a], ["tell", "x", "y"]),
      script.run([b, `${b}:more`], ["tell", 5]),
      script.run([a], ["nothing"]),
      script.run([a], ["tell"]),
    ]);

    expect(replies).toEqual([[a, 2, 1, 3], [b, 1, 2, 2], null, [a, 2, 1, 1]]);
  });

  test("of different files execute together, each with its own arguments", async () => {
    const { commands, script, loadOther, keyOf } = await start();
    const [a, b] = [keyOf("a"), keyOf("b")];
    await script.run([a], ["nothing"]);
    const other = loadOther();
    await other.run([b], ["before"]);
    const evaluations = async (): Promise<number> =>
      "nodes" in commands ? 0 : Number(/cmdstat_evalsha:calls=(\d+)/.exec(await commands.info("commandstats"))?.[1]);
    const before = await evaluations();

    const replies = await Promise.all([script.run([a], ["tell", "x"]), other.run([b], [7]), script.run([a], ["tell"])]);

    expect(replies).toEqual([
      [a, 1, 1, 2],
      ["other", b, "7"],
      [a, 1, 1, 1],
    ]);
    expect((await evaluations()) - before).toBe("nodes" in commands ? 0 : 1);
  });

  test("a failing call fails alone", async () => {
    const { script, keyOf } = await start();
    const key = keyOf("a");

    const outcomes = await Promise.allSettled([
      script.run([key], ["tell", "x"]),
      script.run([key], ["fail"]),
      script.run([key], ["throw"]),
      script.run([key], ["tell", "y"]),
    ]);

    expect(outcomes).toMatchObject([
      { value: [key, 1, 1, 2] },
      { reason: { message: expect.stringContaining("WRONGTYPE") } },
      { reason: { message: expect.stringContaining("thrown") } },
      { value: [key, 2, 1, 2] },
    ]);
  });

  test("in the order of the calls, however many, and where Redis forgets the script", async () => {
    const { commands, script, keyOf } = await start();
    const key = keyOf("a");
    const numbers = Array.from({ length: 500 }, (_, number) => `${number}`);

    await Promise.all(numbers.slice(0, 200).map((number) => script.run([key], ["tell", number])));
    for (const server of store.servers) await server.ask("SCRIPT", "FLUSH");
    await Promise.all(numbers.slice(200).map((number) => script.run([key], ["tell", number])));

    expect(await commands.lrange(key, 0, -1)).toEqual(numbers);
  });
});
