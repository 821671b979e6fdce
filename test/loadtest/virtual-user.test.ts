import { expect, onTestFinished, test, vi } from "vitest";
import { Dialer } from "../../src/loadtest/clients/dialer.ts";
import { Measurements } from "../../src/loadtest/measurements.ts";
import { VirtualUser } from "../../src/loadtest/worker/virtual-user.ts";

test("a reader that lost its connection while it read nothing is away until it has subscribed again", () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const plan = { index: 0, userId: "u", kind: "lean" as const, address: 0, channels: ["news:1"] };
  const measurements = new Measurements();
  const dialer = new Dialer([new URL("http://127.0.0.1:1")], 0);
  const user = new VirtualUser({ plan, dialer, load: "publications", measurements });
  user.ready("n1");
  user.stall(10_000);
  user.lost("ping timeout");

  vi.advanceTimersByTime(20_000);

  expect([user.isReading, user.isAway]).toEqual([false, true]);
  user.ready("n2");
  expect([user.isReading, user.node]).toEqual([true, "n2"]);
  expect(measurements.take().histograms).toHaveProperty("reconnect");
});
