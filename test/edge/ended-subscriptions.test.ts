import { expect, test } from "vitest";
import { EndedSubscriptions } from "../../src/connections/ended-subscriptions.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const recoverableMs = 60_000;
/** Of a record, before the command that ends the subscriptions. */
const asOf = "10-0";

test("a subscription that a backend has ended is remembered for as long as a client may recover it", async () => {
  const clock = new FakeClock();
  const ended = new EndedSubscriptions({ clock, log: quietLog }, recoverableMs);
  ended.add({ userId: "ada", channel: "chat:1" }, { id: "20-0" });
  ended.add({ userId: "ada", channel: "chat:old" }, { id: "20-0", ageMs: recoverableMs });

  expect(ended.hasAny("ada", ["chat:2", "chat:1"], asOf)).toBe(true);
  expect(ended.hasAny("ada", ["chat:2"], asOf)).toBe(false);
  expect(ended.hasAny("bob", ["chat:1"], asOf)).toBe(false);
  expect(ended.hasAny("ada", [], asOf)).toBe(false);

  await clock.advance(recoverableMs);
  expect(ended.hasAny("ada", ["chat:1"], asOf)).toBe(true);
  expect(ended.hasAny("ada", ["chat:old"], asOf)).toBe(false);
  await clock.advance(ended.lifeMs);
  expect(ended.hasAny("ada", ["chat:1"], asOf)).toBe(false);
});

test("only what was recorded before the end of a subscription has ended", () => {
  const ended = new EndedSubscriptions({ clock: new FakeClock(), log: quietLog }, recoverableMs);
  ended.add({ userId: "ada", channel: "chat:1" }, { id: "20-9" });

  expect(["9-30", "20-8", ""].map((before) => ended.hasAny("ada", ["chat:1"], before))).toEqual([true, true, true]);
  expect(["20-9", "20-10", "21-0"].map((since) => ended.hasAny("ada", ["chat:1"], since))).toEqual([
    false,
    false,
    false,
  ]);
});

test("nothing is recovered while more were ended than are remembered", async () => {
  const clock = new FakeClock();
  const warnings: string[] = [];
  const log = { ...quietLog, warn: (_fields: object, message: string) => void warnings.push(message) };
  const ended = new EndedSubscriptions({ clock, log }, recoverableMs, 16);
  for (let i = 0; i < 17; i++) ended.add({ userId: `user-${i}`, channel: "chat:1" }, { id: "20-0" });

  expect(ended.hasAny("ada", ["chat:1"], asOf)).toBe(true);
  expect(ended.hasAny("ada", [], asOf)).toBe(false);
  await clock.advance(ended.lifeMs);
  for (let i = 0; i < 16; i++) ended.add({ userId: `user-${i}`, channel: "chat:2" }, { id: "20-0" });
  expect(ended.hasAny("ada", ["chat:1"], asOf)).toBe(false);
  expect(warnings).toEqual([expect.stringContaining("no client is recovered")]);
});
