import { expect, test } from "vitest";
import { createLogger } from "../../src/runtime/logger.ts";
import { redisWorld } from "../support/world.ts";

function recordingLog() {
  const lines: string[] = [];
  const log = createLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  return { log, lines };
}

test("an error of Redis is logged without the command and its arguments", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const { log, lines } = recordingLog();
  await commands.set(keys.once("a", "b"), "text");

  const error: unknown = await commands.lpush(keys.once("a", "b"), "hunter2").catch((failure: unknown) => failure);
  log.error({ err: error }, "failed");

  expect(JSON.stringify(error)).toContain("hunter2");
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("WRONGTYPE");
  expect(lines[0]).not.toContain("hunter2");
});

test("an error keeps its kind, its code, its stack and its cause", () => {
  const { log, lines } = recordingLog();
  const cause = Object.assign(new Error("no route"), { code: "EHOSTUNREACH" });

  log.error({ err: new TypeError("no connection", { cause }) }, "failed");
  log.error({ err: cause }, "failed");
  log.error({ err: "a text" }, "failed");

  const [first, second, third] = lines.map((line) => (JSON.parse(line) as { err: Record<string, string> }).err);
  expect(first).toMatchObject({ type: "TypeError", message: "no connection: no route" });
  expect(first?.stack).toContain("logs-what-went-wrong.test.ts");
  expect(second).toMatchObject({ type: "Error", message: "no route", code: "EHOSTUNREACH" });
  expect(third).toBe("a text");
});
