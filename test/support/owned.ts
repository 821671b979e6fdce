import { onTestFinished } from "vitest";

/** Stops it when the test ends. */
export function owned<T extends { stop(): Promise<unknown> }>(thing: T): T {
  onTestFinished(async () => void (await thing.stop()));
  return thing;
}
