import { type ReadonlySignal, signal } from "@preact/signals";
import { TidegateError } from "../../../src/client/client.ts";

/** A user's action: whether it is running, and the error of the last attempt. */
export interface Attempts {
  readonly isBusy: ReadonlySignal<boolean>;
  readonly error: ReadonlySignal<string | undefined>;
  run(task: () => Promise<unknown>): Promise<void>;
}

export function createAttempts(): Attempts {
  const isBusy = signal(false);
  const error = signal<string | undefined>(undefined);
  return {
    isBusy,
    error,
    async run(task) {
      if (isBusy.value) return;
      isBusy.value = true;
      error.value = undefined;
      try {
        await task();
      } catch (failure) {
        error.value = messageOf(failure);
      } finally {
        isBusy.value = false;
      }
    },
  };
}

export function messageOf(failure: unknown): string {
  if (failure instanceof TidegateError) return `${failure.code}: ${failure.message}`;
  return failure instanceof Error ? failure.message : String(failure);
}
