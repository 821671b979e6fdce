import { expect, it } from "vitest";
import { EndOfTickFlusher } from "../../src/engine/end-of-tick.ts";
import { settled } from "../support/fake-clock.ts";
import { range } from "./audience.ts";

const quiet = (): void => undefined;

it("flushes everybody once, when the tick has ended", async () => {
  const flusher = new EndOfTickFlusher(quiet);
  const flushed: number[] = [];

  for (const n of range(1, 3)) flusher.schedule({ flush: () => flushed.push(n) });
  await Promise.resolve();
  const within = [...flushed];
  await settled();
  flusher.schedule({ flush: () => flushed.push(4) });
  await settled();

  expect(within).toEqual([]);
  expect(flushed).toEqual([1, 2, 3, 4]);
});

it("lets others run between a thousand and the next thousand", async () => {
  const flusher = new EndOfTickFlusher(quiet);
  let flushed = 0;
  const seen: number[] = [];

  for (const _ of range(1, 2_500)) flusher.schedule({ flush: () => (flushed += 1) });
  while (flushed < 2_500) {
    await settled();
    seen.push(flushed);
  }

  expect(seen).toEqual([1_024, 2_048, 2_500]);
});

it("goes on with the others where one fails", async () => {
  const failures: unknown[] = [];
  const flusher = new EndOfTickFlusher((error) => failures.push(error));
  let flushed = 0;

  flusher.schedule({
    flush() {
      throw new Error("broken");
    },
  });
  flusher.schedule({ flush: () => (flushed += 1) });
  await settled();

  expect(failures).toHaveLength(1);
  expect(flushed).toBe(1);
});
