import { expect, it } from "vitest";
import { TimerWheel, type Due } from "../../src/runtime/timer-wheel.ts";
import { startEngine } from "../support/engine.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { RawPolling, RawSocket } from "../support/hostile.ts";

const pings = (received: readonly string[]): number => received.filter((packet) => packet === "2").length;

it("pings as often as it says, and keeps a client that answers", async () => {
  const clock = new FakeClock();
  const engine = await startEngine({ clock });
  const client = await new RawSocket(engine).opened();

  for (const round of [1, 2, 3]) {
    const heard = new Promise((resolve) => engine.sockets[0]?.once("heartbeat", resolve));
    await clock.advance(24_000);
    expect(pings(client.received)).toBe(round - 1);
    await clock.advance(1_500);
    await heard;
    expect(pings(client.received)).toBe(round);
  }

  expect(engine.closed).toEqual([]);
});

it.each(["websocket", "polling"])("closes a client over %s that does not answer in time", async (transport) => {
  const clock = new FakeClock();
  const engine = await startEngine({ clock });
  const client = transport === "polling" ? new RawPolling(engine) : new MuteSocket(engine);
  await client.opened();

  await clock.advance(25_500);
  await clock.advance(19_000);
  expect(engine.closed).toEqual([]);
  await clock.advance(1_500);

  expect(engine.closed).toEqual(["ping timeout"]);
  expect(engine.engine.clientsCount).toBe(0);
});

it("waits once more for a client that sends something else meanwhile", async () => {
  const clock = new FakeClock();
  const engine = await startEngine({ clock });
  const client = await new MuteSocket(engine).opened();
  const [socket] = engine.sockets;

  await clock.advance(25_500);
  await clock.advance(15_000);
  const read = new Promise((resolve) => socket?.once("data", resolve));
  client.send("4large");
  await read;
  await clock.advance(15_000);
  expect(engine.closed).toEqual([]);
  const again = new Promise((resolve) => socket?.once("data", resolve));
  client.send("4larger");
  await again;
  await clock.advance(6_000);

  expect(engine.closed).toEqual(["ping timeout"]);
});

it("shares one timer, which stands still while nobody is connected", async () => {
  const clock = new FakeClock();
  let timers = 0;
  const counting = Object.assign(new FakeClock(), {
    every(periodMs: number, run: () => void) {
      timers += 1;
      const cancel = clock.every(periodMs, run);
      return () => {
        timers -= 1;
        cancel();
      };
    },
  });
  const engine = await startEngine({ clock: counting });

  const clients = await Promise.all(Array.from({ length: 20 }, () => new RawSocket(engine).opened()));
  expect(timers).toBe(1);
  for (const client of clients) client.tcp.destroy();

  await expect.poll(() => engine.engine.clientsCount).toBe(0);
  expect(timers).toBe(0);
});

it("runs nothing early, nothing twice, and everything at most one slot late", async () => {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock, 10_000);
  const late: number[] = [];
  const start = clock.now();
  const item = (delayMs: number): Due => ({
    dueTick: -1,
    due: () => late.push(clock.now() - start - delayMs),
  });
  const cancelled = item(500);

  for (let delayMs = 7; delayMs <= 10_000; delayMs += 131) wheel.schedule(item(delayMs), delayMs);
  wheel.schedule(cancelled, 500);
  wheel.cancel(cancelled);
  await clock.advance(11_000);

  expect(late).toHaveLength(77);
  expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...late)).toBeLessThanOrEqual(79);
});

/** Never answers a ping. */
class MuteSocket extends RawSocket {
  override send(...frames: (string | Buffer)[]): void {
    super.send(...frames.filter((frame) => frame !== "3"));
  }
}
