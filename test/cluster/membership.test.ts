import { describe, expect, test } from "vitest";
import { Membership } from "../../src/cluster/membership.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";

/** A roll whose heartbeats the test answers: `beat` sends one and brings the leases of those who live. */
function startRoll() {
  const clock = new FakeClock();
  let end = 1_000;
  let asked = 0;
  const roll = new Membership({ clock, heartbeatNow: () => void asked++ });
  const dead: string[] = [];
  roll.onDead((node) => void dead.push(node));
  const answer = ({ heartbeat }: { heartbeat: number }, living: string[], wasAway = false): Promise<void> => {
    end += 500;
    const leases = new Map(living.map((node) => [node, end]));
    roll.heartbeatDone(heartbeat, { leases, version: `v${end}` }, wasAway);
    return settled();
  };
  const beat = (living: string[], wasAway = false): Promise<void> => answer(roll.heartbeatSent(), living, wasAway);
  return { clock, roll, dead, beat, answer, asked: () => asked };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  await settled();
  return (await Promise.race([promise.then(() => "done"), Promise.resolve("pending")])) === "pending";
}

describe("who is dead", () => {
  test("a node that lived and is missing from a heartbeat, once", async () => {
    const { roll, dead, beat } = startRoll();

    await beat(["a", "b"]);
    await beat(["a"]);
    await beat(["a"]);

    expect(dead).toEqual(["b"]);
    expect(roll.living).toEqual(["a"]);
  });

  test("a name met in the store is judged by a heartbeat sent afterwards, not by one under way", async () => {
    const { roll, dead, beat, answer } = startRoll();
    await beat(["a"]);
    const underWay = roll.heartbeatSent();

    roll.noteSeen("new");
    await answer(underWay, ["a"]);
    expect(dead).toEqual([]);

    await beat(["a", "new"]);
    await beat(["a"]);
    expect(dead).toEqual(["new"]);
  });

  test("nobody, until those who lost their leases together have had time to come back", async () => {
    const { clock, roll, dead, beat } = startRoll();
    await beat(["a", "b"]);

    await beat(["a2"], true);
    roll.noteSeen("b");
    await clock.advance(2_900);
    await beat(["a2"]);
    expect(dead).toEqual([]);

    await clock.advance(100);
    await beat(["a2", "b2"]);
    expect(dead.toSorted()).toEqual(["a", "b"]);
  });
});

describe("the dead among names", () => {
  test("are known at once where all live", async () => {
    const { roll, beat, asked } = startRoll();
    await beat(["a", "b"]);

    expect(await roll.deadAmong(["a", "b"])).toEqual([]);
    expect(asked()).toBe(0);
  });

  test("are asked for where one is unknown", async () => {
    const { roll, beat, asked } = startRoll();
    await beat(["a"]);

    const answered = roll.deadAmong(["a", "b", "c"]);
    expect(asked()).toBe(1);
    await beat(["a", "c"]);

    expect(await answered).toEqual(["b"]);
  });

  test("a node killed a moment ago is found out by its silence", async () => {
    const { roll, beat } = startRoll();
    await beat(["a", "killed"]);
    const hear = async (a: number, killed?: number): Promise<void> => {
      const leases = new Map(killed === undefined ? [["a", a]] : Object.entries({ a, killed }));
      roll.heartbeatDone(roll.heartbeatSent().heartbeat, { leases, version: `v${a}` }, false);
      await settled();
    };

    const answered = roll.deadAmongAll(["a", "killed"]);
    await hear(2_000, 1_500);
    await hear(2_500, 1_500);
    expect(await isPending(answered)).toBe(true);
    await hear(3_000);

    expect(await answered).toEqual(["killed"]);
  });

  test("nobody, once each has been heard of since the question", async () => {
    const { roll, beat } = startRoll();
    await beat(["a", "b"]);

    const answered = roll.deadAmongAll(["a", "b", "late"]);
    await beat(["a", "b"]);
    expect(await isPending(answered)).toBe(true);
    await beat(["a", "b", "late"]);

    expect(await answered).toEqual([]);
  });
});

test("who lives now is said by a heartbeat sent after the question", async () => {
  const { roll, beat, answer } = startRoll();
  await beat(["a"]);
  const underWay = roll.heartbeatSent();

  const answered = roll.livingNow();
  await answer(underWay, ["a"]);
  expect(await isPending(answered)).toBe(true);
  await beat(["a", "b"]);

  expect(await answered).toEqual(["a", "b"]);
});

test("a heartbeat asks for the nodes again only after a change, or to compare their leases", async () => {
  const { roll, dead, beat } = startRoll();
  expect(roll.heartbeatSent().version).toBe("");
  await beat(["a", "b"]);
  const { heartbeat, version } = roll.heartbeatSent();
  expect(version).not.toBe("");

  roll.heartbeatDone(heartbeat, { leases: undefined, version }, false);

  expect(roll.living).toEqual(["a", "b"]);
  expect(dead).toEqual([]);
  const answered = roll.deadAmongAll(["b"]);
  expect(roll.heartbeatSent().version).toBe("");
  await beat(["a", "b"]);
  await beat(["a"]);
  expect(await answered).toEqual(["b"]);
  expect(roll.heartbeatSent().version).not.toBe("");
});
