import { type ReadonlySignal, signal } from "@preact/signals";
import { messageOf } from "./attempt.ts";
import { callBackend } from "./backend.ts";
import { placeCall } from "./order-calls.ts";
import { pause } from "./pause.ts";
import { placeAlong } from "./road.ts";

/** Whoever brings an order: signals where it is, all the way. */
export interface Driver {
  readonly isDriving: ReadonlySignal<boolean>;
  readonly error: ReadonlySignal<string | undefined>;
  drive(apiKey: string): Promise<void>;
  park(): void;
}

const driveMs = 12_000;
const placeEveryMs = 300;

export function createDriver(orderId: string): Driver {
  const isDriving = signal(false);
  const error = signal<string | undefined>(undefined);

  async function goTheWay(apiKey: string): Promise<void> {
    const begun = performance.now();
    for (let share = 0; share < 1 && isDriving.value;) {
      share = Math.min(1, (performance.now() - begun) / driveMs);
      await callBackend(apiKey, placeCall(orderId, placeAlong(share)));
      await pause(placeEveryMs);
    }
  }

  return {
    isDriving,
    error,
    async drive(apiKey) {
      isDriving.value = true;
      error.value = undefined;
      try {
        await goTheWay(apiKey);
      } catch (failure) {
        error.value = messageOf(failure);
      } finally {
        isDriving.value = false;
      }
    },
    park: () => void (isDriving.value = false),
  };
}
