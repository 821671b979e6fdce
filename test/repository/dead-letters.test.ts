import { expect, inject, test } from "vitest";
import { runCommandLine } from "../../src/cli/command-line.ts";
import { createDeadCommandStore } from "../../src/commands/dead-command-store.ts";
import { redisWorld } from "../support/world.ts";

test("dead letters are listed, requeued and discarded from the command line", async () => {
  const { redis, keys, prefix } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createDeadCommandStore({ commands, keys });
  for (const n of [1, 2, 3]) {
    const command = JSON.stringify({ type: "publish", n, note: "two\nlines" });
    await store.add({ key: `k${n}`, command, code: "bad_request", reason: "channel: is required", tries: 3 });
  }
  const letters = await store.list({ limit: 10 });
  const run = async (...words: string[]) => {
    const lines: string[] = [];
    const code = await runCommandLine(["dead-letters", ...words], {
      env: { REDIS_URL: inject("redisUrl"), KEY_PREFIX: prefix },
      isTerminal: false,
      print: (text) => void lines.push(text),
      printError: (text) => void lines.push(text),
      onSignal: () => undefined,
      onOutputClosed: () => undefined,
      onStrayError: () => undefined,
      exit: () => undefined,
    });
    return { code, text: lines.join("\n") };
  };

  const listed = await run("list", "--limit", "2");
  expect(listed.code).toBe(0);
  expect(listed.text.split("\n")).toHaveLength(3);
  expect(listed.text).toContain("channel: is required");
  expect(listed.text).toContain("3 in total.");

  expect((await run("replay", letters[0]!.id, "9-9")).text).toBe(
    "1 replayed. Not found, or handled by somebody else: 9-9.",
  );
  expect((await run("remove", letters[1]!.id)).text).toBe("1 removed.");
  expect((await run("replay", "--all")).text).toBe("1 replayed.");
  expect((await run()).text).toBe("There are no dead letters.");
  expect(await commands.xlen(keys.commands())).toBe(2);
});
