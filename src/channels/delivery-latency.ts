import type { Clock } from "../runtime/clock.ts";

export interface DeliveryLatencyDeps {
  /** Takes seconds. */
  observe: (seconds: number) => void;
  /** The store's clock, which also assigns the timestamps. */
  clock: Pick<Clock, "now">;
}

/**
 * Measures the time from a publication's timestamp (microseconds) to the write to its subscribers: one sample per
 * publication, taken after the writes of the same tick, so that a delivery itself costs nothing more.
 */
export function createDeliveryLatency({ observe, clock }: DeliveryLatencyDeps): (timestamp: number) => void {
  let delivered: number[] = [];

  function observeAll(): void {
    const now = clock.now();
    for (const timestamp of delivered) observe(Math.max(now - timestamp / 1_000, 0) / 1_000);
    delivered = [];
  }
  // Frames are written by `setImmediate` too, and theirs was requested first.
  return (timestamp) => void (delivered.push(timestamp) === 1 && setImmediate(observeAll));
}
