import { expect, test } from "vitest";
import { EndedSubscriptions } from "../../src/connections/ended-subscriptions.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const recoverableMs = 60_000;

test("a subscription that a backend has ended is remembered for as long as a client may recover it", async () => {
  const clock = new FakeClock();
  const ended = new EndedSubscriptions({ clock, log: quietLog }, recoverableMs);
  ended.add("ada", "chat:1");
  ended.add("ada", "chat:old", recoverableMs);

  expect(ended.hasAny("ada", ["chat:2", "chat:1"])).toBe(true);
  expect(ended.hasAny("ada", ["chat:2"])).toBe(false);
  expect(ended.hasAny("bob", ["chat:1"])).toBe(false);
  expect(ended.hasAny("ada", [])).toBe(false);

  await clock.advance(recoverableMs);
  expect(ended.hasAny("ada", ["chat:1"])).toBe(true);
  expect(ended.hasAny("ada", ["chat:old"])).toBe(false);
  await clock.advance(ended.lifeMs);
  expect(ended.hasAny("ada", ["chat:1"])).toBe(false);
});

test("a subscription that a backend has started again may be recovered", () => {
  const ended = new EndedSubscriptions({ clock: new FakeClock(), log: quietLog }, recoverableMs);
  ended.add("ada", "chat:1");

  ended.delete("ada", "chat:1");

  expect(ended.hasAny("ada", ["chat:1"])).toBe(false);
});

test("nothing is recovered while more were ended than are remembered", async () => {
  const clock = new FakeClock();
  const warnings: string[] = [];
  const log = { ...quietLog, warn: (_fields: object, message: string) => void warnings.push(message) };
  const ended = new EndedSubscriptions({ clock, log }, recoverableMs, 16);
  for (let i = 0; i < 17; i++) ended.add(`user-${i}`, "chat:1");

  expect(ended.hasAny("ada", ["chat:1"])).toBe(true);
  expect(ended.hasAny("ada", [])).toBe(false);
  await clock.advance(ended.lifeMs);
  for (let i = 0; i < 16; i++) ended.add(`user-${i}`, "chat:2");
  expect(ended.hasAny("ada", ["chat:1"])).toBe(false);
  expect(warnings).toEqual([expect.stringContaining("no client is recovered")]);
});
