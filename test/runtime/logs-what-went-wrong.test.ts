import { expect, test } from "vitest";
import { ErrorReporter } from "../../src/connections/error-reporter.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { FakeClock } from "../support/fake-clock.ts";
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

test("errors of one place are logged once a second, with the number of the others, if any", async () => {
  const { log, lines } = recordingLog();
  const clock = new FakeClock();
  const reporter = new ErrorReporter({ clock, log, metrics: createMetrics({ nodeId: "n1" }) });

  for (let i = 0; i < 3; i++) reporter.report("a handler", new Error("odd"));
  await clock.advance(1_000);
  reporter.report("a handler", new Error("odd"));

  const [first, second, ...others] = lines.map((line) => JSON.parse(line) as { repeated?: number });
  expect(first).not.toHaveProperty("repeated");
  expect(second).toMatchObject({ place: "a handler", repeated: 2 });
  expect(others).toEqual([]);
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
