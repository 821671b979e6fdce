import { expect, test } from "vitest";
import { createPacedWarnings } from "../../src/runtime/paced-warnings.ts";
import { quietLog } from "../support/world.ts";

test("a repeated warning is logged immediately, then once per interval with the number suppressed, if any", () => {
  const said: object[] = [];
  let now = 0;
  const log = { ...quietLog, warn: (fields: object, message: string) => void said.push({ ...fields, message }) };
  const warn = createPacedWarnings(log, { everyMs: 1_000, now: () => now });

  warn({ n: 1 }, "odd");
  warn({ n: 2 }, "odd");
  warn({ n: 3 }, "other");
  now = 999;
  warn({ n: 4 }, "odd");
  now = 1_000;
  warn({ n: 5 }, "odd");

  expect(said).toEqual([
    { n: 1, message: "odd" },
    { n: 3, message: "other" },
    { n: 5, repeated: 2, message: "odd" },
  ]);
});
