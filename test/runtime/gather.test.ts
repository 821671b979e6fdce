import { expect, test } from "vitest";
import { gather } from "../../src/runtime/gather.ts";

/** Doubles what it is asked, and writes down what was asked together; -1 has no answer. */
function doubling(most = 100) {
  const rounds: number[][] = [];
  const ask = gather<number, number>(async (questions) => {
    rounds.push([...questions]);
    if (questions.includes(0)) throw new Error("away");
    return questions.map((question) => (question === -1 ? new Error("no answer") : 2 * question));
  }, most);
  return { ask, rounds };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("what is asked in one turn is asked together, in its order, and each gets its own answer", async () => {
  const { ask, rounds } = doubling();

  const first = Promise.all([ask(1), Promise.resolve().then(() => ask(2)), ask(3)]);
  await nextTurn();
  const later = ask(4);

  expect(await first).toEqual([2, 4, 6]);
  expect(await later).toBe(8);
  expect(rounds).toEqual([[1, 3, 2], [4]]);
});

test("no more than so many at once", async () => {
  const { ask, rounds } = doubling(2);

  expect(await Promise.all([1, 2, 3, 4, 5].map(ask))).toEqual([2, 4, 6, 8, 10]);

  expect(rounds).toEqual([[1, 2], [3, 4], [5]]);
});

test("one without an answer fails alone; where nobody answers, all fail", async () => {
  const { ask } = doubling();

  expect(await Promise.allSettled([ask(1), ask(-1)])).toMatchObject([
    { value: 2 },
    { reason: { message: "no answer" } },
  ]);
  expect(await Promise.allSettled([ask(1), ask(0)])).toMatchObject([
    { reason: { message: "away" } },
    { reason: { message: "away" } },
  ]);
});
