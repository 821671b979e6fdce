import { expect, test } from "vitest";
import { clockStepIn, SyncedClock } from "../../src/runtime/synced-clock.ts";
import { FakeClock } from "../support/fake-clock.ts";

/** A machine whose monotonic clock shows 1,000 and whose own clock is wrong. */
function machine() {
  const own = Object.assign(new FakeClock(1_000), { wrongBy: 500_000 });
  const { monotonic, after, every } = own;
  return { own, synced: new SyncedClock({ now: () => monotonic() + own.wrongBy, monotonic, after, every }) };
}

test("returns the machine's time until the first measurement", () => {
  expect(machine().synced.now()).toBe(501_000);
});

test("returns the other clock's time after one round trip, wrong by at most half of it", () => {
  const { synced } = machine();

  synced.measured(7_000_000, 900, 1_000);

  expect(Math.abs(synced.now() - 7_000_050)).toBeLessThanOrEqual(51);
});

test("is not changed by a slow round trip, and becomes more accurate with fast ones", () => {
  const { synced } = machine();
  synced.measured(7_000_000, 998, 1_000);
  const known = synced.now();

  synced.measured(7_000_000, 0, 1_000);
  expect(synced.now()).toBe(known);

  synced.measured(7_000_001, 1_000, 1_000);
  expect(synced.now()).toBe(7_000_001);
});

test("continues between two measurements, even if the machine's clock is set", async () => {
  const { own, synced } = machine();
  synced.measured(7_000_000, 1_000, 1_000);

  own.wrongBy = -3_600_000;
  await own.advance(2_500);

  expect(synced.now()).toBe(7_002_500);
});

test("follows immediately if the other clock was set, or replaced", () => {
  const { synced } = machine();
  synced.measured(7_000_000, 999, 1_000);

  synced.measured(7_030_000, 999, 1_000);
  expect(Math.abs(synced.now() - 7_030_000)).toBeLessThanOrEqual(2);

  synced.measured(6_990_000, 999, 1_000);
  expect(Math.abs(synced.now() - 6_990_000)).toBeLessThanOrEqual(2);
});

test("says by how much it was corrected, of which only steps are told to operators", () => {
  const { synced } = machine();
  expect(synced.measured(7_000_000, 1_000, 1_000)).toBe(0);
  expect(synced.measured(7_000_050, 1_000, 1_000)).toBe(49.5);

  const forward = synced.measured(7_090_050, 1_000, 1_000);
  expect(forward).toBe(90_000);
  expect(clockStepIn(forward)).toContain("was set forward");
  expect(clockStepIn(synced.measured(7_000_050, 1_000, 1_000))).toContain("was set back");
  expect([clockStepIn(0), clockStepIn(1_500), clockStepIn(-1_500)]).toEqual([undefined, undefined, undefined]);
});
