import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { createExpiryWatch, type Expiring } from "../../src/auth/expiry-watch.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { promised, timed } from "../support/promised.ts";
import { quietLog } from "../support/world.ts";

/** A token of that life that begins now. */
const lasting = (clock: Clock, lifeMs: number, expiresBy: Expiring["expiresBy"] = "token"): Expiring => ({
  issuedAt: clock.now(),
  expiresAt: clock.now() + lifeMs,
  expiresBy,
});

function world(options = {}) {
  const clock = new FakeClock();
  const start = clock.now();
  const said: string[] = [];
  const expiries = createExpiryWatch({ clock, log: quietLog }, options);
  const listener = (name = "") => ({
    expiring: (at: number) => void said.push(`${name}${clock.now() - start}: ends at ${at - start}`),
    expired: (code: string) => void said.push(`${name}${clock.now() - start}: ${code}`),
  });
  return { clock, said, expiries, listener };
}

describe("a connection is notified", () => {
  it("a minute ahead of its token's end, and at it", async () => {
    const { clock, said, expiries, listener } = world();
    expiries.watch(lasting(clock, 900_000), listener());

    await clock.advance(839_999);
    expect(said).toEqual([]);
    await clock.advance(60_000);
    expect(said).toEqual(["840000: ends at 900000"]);
    await clock.advance(1);
    expect(said).toEqual(["840000: ends at 900000", "900000: token_expired"]);
    await clock.advance(10_000_000);
    expect(said).toHaveLength(2);
  });

  it.each([
    [2_000, ["1800: ends at 2000", "2000: token_expired"]],
    [1_000, ["900: ends at 1000", "1000: token_expired"]],
    [60_000, ["54000: ends at 60000", "60000: token_expired"]],
  ])("a tenth of a life of %s ms ahead, where that is shorter", async (lifeMs, told) => {
    const { clock, said, expiries, listener } = world();
    expiries.watch(lasting(clock, lifeMs), listener());

    await clock.advance(lifeMs);

    expect(said).toEqual(told);
  });

  it("a tenth of a sliding life ahead, however long ago its token was issued", async () => {
    const { clock, said, expiries, listener } = world();
    const issuedAt = clock.now() - 3_600_000;
    expiries.watch({ ...lasting(clock, 30_000, "session"), issuedAt, slidingMs: 30_000 }, listener());

    await clock.advance(30_000);

    expect(said).toEqual(["27000: ends at 30000", "30000: session_expired"]);
  });

  it("as long ahead as is configured", async () => {
    const { clock, said, expiries, listener } = world({ aheadMs: 5_000 });
    expiries.watch(lasting(clock, 900_000), listener());

    await clock.advance(895_000);

    expect(said).toEqual(["895000: ends at 900000"]);
  });

  it("at once where it comes in its last minute, or after the end", async () => {
    const { clock, said, expiries, listener } = world();
    const { issuedAt, expiresAt } = lasting(clock, 900_000);
    await clock.advance(899_000);
    expiries.watch({ issuedAt, expiresAt, expiresBy: "token" }, listener("late "));
    await clock.advance(0);
    expect(said).toEqual(["late 899000: ends at 900000"]);

    await clock.advance(5_000);
    expiries.watch({ issuedAt, expiresAt, expiresBy: "token" }, listener("too late "));
    await clock.advance(0);

    expect(said.slice(2)).toEqual(["too late 904000: ends at 900000", "too late 904000: token_expired"]);
  });

  it("that its session has ended where that came first", async () => {
    const { clock, said, expiries, listener } = world();
    expiries.watch(lasting(clock, 1_000, "session"), listener());

    await clock.advance(1_000);

    expect(said.at(-1)).toBe("1000: session_expired");
  });
});

describe("a connection with a fresh token", () => {
  it("is told of the fresh token's end only", async () => {
    const { clock, said, expiries, listener } = world();
    const watch = expiries.watch(lasting(clock, 900_000), listener());
    await clock.advance(850_000);
    expect(said).toEqual(["840000: ends at 900000"]);

    watch.renew(lasting(clock, 900_000));
    await clock.advance(899_999);

    expect(said).toEqual(["840000: ends at 900000", "1690000: ends at 1750000"]);
    await clock.advance(1);
    expect(said).toHaveLength(3);
  });

  it("may bring one that ends sooner", async () => {
    const { clock, said, expiries, listener } = world();
    const watch = expiries.watch(lasting(clock, 900_000), listener());

    watch.renew(lasting(clock, 10_000));
    await clock.advance(900_000);

    expect(said).toEqual(["9000: ends at 10000", "10000: token_expired"]);
  });

  it("may bring it while it is being told", async () => {
    const { clock, said, expiries, listener } = world();
    const watch = expiries.watch(lasting(clock, 10_000), {
      ...listener(),
      expiring: (at) => {
        said.push(`told of ${at % 100_000}`);
        if (said.length === 1) watch.renew(lasting(clock, 20_000));
      },
    });

    await clock.advance(20_000);
    expect(said).toHaveLength(1);
    await clock.advance(10_000);
    expect(said).toHaveLength(3);
  });
});

describe("a connection that is gone", () => {
  it("is not told, and a late fresh token does not bring it back", async () => {
    const { clock, said, expiries, listener } = world();
    const watch = expiries.watch(lasting(clock, 10_000), listener());

    watch.stop();
    watch.renew(lasting(clock, 10_000));
    await clock.advance(100_000);

    expect(said).toEqual([]);
  });

  it("does not take another's timer with it, though it was told at the same moment", async () => {
    const { clock, said, expiries, listener } = world();
    const past = { issuedAt: clock.now() - 10_000, expiresAt: clock.now() - 1_000, expiresBy: "token" } as const;
    const first = expiries.watch(past, listener("first "));
    await clock.advance(0);

    expiries.watch(past, { ...listener("second "), expiring: () => first.stop() });
    await clock.advance(0);

    expect(said.at(-1)).toBe("second 0: token_expired");
  });
});

it("a listener that throws does not affect the others", async () => {
  const { clock, said, listener } = world();
  const lines: string[] = [];
  const destination = new Writable({
    write: (line: Buffer, _, done) => {
      lines.push(line.toString());
      done();
    },
  });
  const expiries = createExpiryWatch({ clock, log: createLogger({ level: "error", destination }) });
  const fail = (): never => {
    throw new Error("broken");
  };
  expiries.watch(lasting(clock, 10_000), { expiring: fail, expired: fail });
  expiries.watch(lasting(clock, 10_000), listener());

  await clock.advance(10_000);

  expect(said).toEqual(["9000: ends at 10000", "10000: token_expired"]);
  expect(lines).toHaveLength(2);
});

it("ten thousand connections take as many timers as there are moments, and none when they are gone", async () => {
  const timers = new Set<object>();
  const clock = new FakeClock();
  const after: Clock["after"] = (delayMs, run) => {
    const timer = {};
    timers.add(timer);
    const cancel = clock.after(delayMs, () => (timers.delete(timer), run()));
    return () => (timers.delete(timer), cancel());
  };
  const counting: Clock = { now: clock.now, monotonic: clock.monotonic, every: clock.every, after };
  const expiries = createExpiryWatch({ clock: counting, log: quietLog });
  let told = 0;

  const watches = Array.from({ length: 10_000 }, (_, i) =>
    expiries.watch(
      { issuedAt: clock.now(), expiresAt: clock.now() + 900_000 + (i % 30) * 1_000, expiresBy: "token" },
      { expiring: () => (told += 1), expired: () => (told += 1) },
    ),
  );

  expect(timers.size).toBe(30);
  await clock.advance(855_000);
  expect(timers.size).toBeLessThanOrEqual(60);
  for (const watch of watches.slice(0, 5_000)) watch.stop();
  await clock.advance(100_000);
  // 5,338 were told ahead before half of them left; of the others 2,334 after that, and all 5,000 of the end.
  expect(told).toBe(5_338 + 2_334 + 5_000);
  expect(timers.size).toBe(0);
});

it("stop ends everything", async () => {
  const { clock, said, expiries, listener } = world();
  for (let i = 1; i < 100; i += 1) expiries.watch(lasting(clock, i * 1_000), listener());

  expiries.stop();
  await clock.advance(1_000_000);

  expect(said).toEqual([]);
});

it("a wall clock that was set back brings no early end", async () => {
  const { clock, said, listener } = world();
  let offset = 0;
  const wall: Clock = { ...systemClock, now: () => clock.now() + offset, after: clock.after };
  const expiries = createExpiryWatch({ clock: wall, log: quietLog });
  expiries.watch(lasting(wall, 10_000), listener());

  offset = -5_000;
  await clock.advance(10_000);
  expect(said).toEqual([]);
  await clock.advance(5_000);

  expect(said).toHaveLength(2);
});

it("with the real clock, within a second of the end", timed, async () => {
  const expiries = createExpiryWatch({ clock: systemClock, log: quietLog });
  const end = Math.ceil(Date.now() / 1_000 + 0.5) * 1_000;

  const at = await new Promise<number>((resolve) => {
    const identity = { issuedAt: end - 2_000, expiresAt: end, expiresBy: "token" } as const;
    expiries.watch(identity, { expiring: () => undefined, expired: () => resolve(Date.now()) });
  });

  expect(at).toBeGreaterThanOrEqual(end);
  expect(at - end).toBeLessThan(promised(1_000));
});
