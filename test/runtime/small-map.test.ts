import { expect, test } from "vitest";
import { SmallMap } from "../../src/runtime/small-map.ts";
import { seeded } from "../support/random.ts";

test("behaves like a Map, with few entries or many", () => {
  const random = seeded(11);
  const expected = new Map<string, number>();
  const map = new SmallMap<string, number>();

  for (let step = 0; step < 4_000; step++) {
    // Mostly few, later many.
    const key = `${Math.floor(random() * (step < 2_000 ? 6 : 40))}`;
    if (random() < 0.6) {
      expected.set(key, step);
      map.set(key, step);
    } else expect(map.delete(key)).toBe(expected.delete(key));
    expect([map.size, map.has(key), map.get(key)]).toEqual([expected.size, expected.has(key), expected.get(key)]);
    if (step % 50 === 0) expect([...map.keys()]).toEqual([...expected.keys()]);
    if (step % 50 === 0) expect([...map.values()]).toEqual([...expected.values()]);
  }

  map.clear();
  expect([map.size, [...map.keys()], map.has("1")]).toEqual([0, [], false]);
});

test("stores arrays as values", () => {
  const map = new SmallMap<string[], number[]>();
  const key = ["a", "b"];

  map.set(key, [1, 2]);

  expect(map.get(key)).toEqual([1, 2]);
  expect([...map.keys()]).toEqual([key]);
});
