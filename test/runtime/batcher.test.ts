import { expect, test } from "vitest";
import { createBatcher } from "../../src/runtime/batcher.ts";

/** Doubles what it is asked once it is let to, and writes down what was asked together; -1 has no answer. */
function doubling(most = 100) {
  const loads: number[][] = [];
  const gates: (() => void)[] = [];
  const ask = createBatcher<number, number>(async (questions) => {
    loads.push([...questions]);
    await new Promise<void>((resolve) => gates.push(resolve));
    if (questions.includes(0)) throw new Error("away");
    return questions.map((question) => (question === -1 ? new Error("no answer") : 2 * question));
  }, most);
  return { ask, loads, answer: () => gates.shift()?.() };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("items of one tick are loaded together, in order, and each gets its own result", async () => {
  const { ask, loads, answer } = doubling();

  const answers = Promise.all([ask(1), Promise.resolve().then(() => ask(2)), ask(3)]);
  await nextTurn();
  answer();

  expect(await answers).toEqual([2, 4, 6]);
  expect(loads).toEqual([[1, 3, 2]]);
});

test("items that arrive during a load wait for its end, and are loaded together", async () => {
  const { ask, loads, answer } = doubling();

  const first = ask(1);
  await nextTurn();
  const later = Promise.all([ask(2), nextTurn().then(() => ask(3))]);
  await nextTurn();
  await nextTurn();
  expect(loads).toEqual([[1]]);
  answer();
  expect(await first).toBe(2);
  await nextTurn();
  await nextTurn();
  answer();

  expect(await later).toEqual([4, 6]);
  expect(loads).toEqual([[1], [2, 3]]);
});

test("a batch has at most the max size, and a full batch does not wait", async () => {
  const { ask, loads, answer } = doubling(2);

  const answers = Promise.all([1, 2, 3, 4, 5].map(ask));
  expect(loads).toEqual([
    [1, 2],
    [3, 4],
  ]);
  answer();
  answer();
  await nextTurn();
  await nextTurn();
  answer();

  expect(await answers).toEqual([2, 4, 6, 8, 10]);
  expect(loads[2]).toEqual([5]);
});

test("a failing item fails alone", async () => {
  const { ask, answer } = doubling();

  const outcomes = Promise.allSettled([ask(1), ask(-1)]);
  await nextTurn();
  answer();

  expect(await outcomes).toMatchObject([{ value: 2 }, { reason: { message: "no answer" } }]);
});

test("if a load fails all its items fail, and the waiting ones; later items are loaded again", async () => {
  const { ask, loads, answer } = doubling();

  const outcomes = [ask(0), ask(1)];
  await nextTurn();
  outcomes.push(ask(2));
  answer();
  expect(await Promise.allSettled(outcomes)).toMatchObject(
    Array.from({ length: 3 }, () => ({ reason: { message: "away" } })),
  );

  const later = ask(3);
  await nextTurn();
  answer();
  expect(await later).toBe(6);
  expect(loads).toEqual([[0, 1], [3]]);
});
