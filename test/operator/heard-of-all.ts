import { expect } from "vitest";
import { eventually } from "../support/world.ts";

/** Asks again where a node did not answer within a second, of which the rest of the answer then says nothing. */
export const heardOfAll = <T extends { body: any }>(ask: () => Promise<T>): Promise<T> =>
  eventually(async () => {
    const answer = await ask();
    const { silent = [], missing = [] } = answer.body ?? {};
    expect([...silent, ...missing.filter(({ state }: { state: string }) => state === "silent")]).toEqual([]);
    return answer;
  });
