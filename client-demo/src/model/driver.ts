import { type ReadonlySignal, signal } from "@preact/signals";
import { messageOf } from "./attempt.ts";
import { callBackend } from "./backend.ts";
import { locationCall } from "./order-calls.ts";
import { pause } from "./pause.ts";
import { pointAlong } from "./order-path.ts";

/** Simulates the courier of an order and publishes its location. */
export interface Driver {
  readonly isDriving: ReadonlySignal<boolean>;
  readonly error: ReadonlySignal<string | undefined>;
  drive(apiKey: string): Promise<void>;
  stop(): void;
}

const driveMs = 12_000;
const publishEveryMs = 300;

export function createDriver(orderId: string): Driver {
  const isDriving = signal(false);
  const error = signal<string | undefined>(undefined);

  async function driveRoute(apiKey: string): Promise<void> {
    const begun = performance.now();
    for (let share = 0; share < 1 && isDriving.value;) {
      share = Math.min(1, (performance.now() - begun) / driveMs);
      await callBackend(apiKey, locationCall(orderId, pointAlong(share)));
      await pause(publishEveryMs);
    }
  }

  return {
    isDriving,
    error,
    async drive(apiKey) {
      isDriving.value = true;
      error.value = undefined;
      try {
        await driveRoute(apiKey);
      } catch (failure) {
        error.value = messageOf(failure);
      } finally {
        isDriving.value = false;
      }
    },
    stop: () => void (isDriving.value = false),
  };
}
