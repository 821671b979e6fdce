import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, inject, onTestFinished, test } from "vitest";
import { createLeases, type Lease, type Leases } from "../../src/locks/leases.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";
import { ownConnection } from "../throttling/support/nodes.ts";
import type { HolderOrders } from "./holder.ts";

async function leasesOn(prefix: string, nodeId: string, clock: Clock = systemClock, url?: string): Promise<Leases> {
  return createLeases({ commands: await ownConnection(url), keys: createKeys(prefix), clock, log: quietLog, nodeId });
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("of many who ask at once one gets the lease; the next one only once it was released", async () => {
  const prefix = freshPrefix();
  const nodes = await Promise.all(["a", "b", "c"].map((nodeId) => leasesOn(prefix, nodeId)));
  const asks = Array.from({ length: 20 }, () => nodes.map((node) => node.acquire("season", { ttlMs: 5_000 }))).flat();

  const got = (await Promise.all(asks)).filter((lease) => lease !== undefined);
  await got[0]?.release();
  const next = await nodes[2]?.acquire("season", { ttlMs: 5_000 });

  expect(got).toHaveLength(1);
  expect(got[0]?.isHeld()).toBe(false);
  expect(next?.isHeld()).toBe(true);
});

test("fences grow with each acquisition, also after the store lost its counter", async () => {
  const prefix = freshPrefix();
  const leases = await leasesOn(prefix, "a");
  const admin = await ownConnection();
  const fences: number[] = [];
  for (let n = 0; n < 20; n++) {
    const lease = (await leases.acquire("season", { ttlMs: 5_000 })) as Lease;
    fences.push(lease.fence);
    await lease.release();
    if (n === 10) await admin.del(createKeys(prefix).fence("season"));
    await sleep(1);
  }

  expect(fences).toEqual([...new Set(fences)].toSorted((a, b) => a - b));
});

test("fences grow although the store's clock went back", async () => {
  const prefix = freshPrefix();
  const leases = await leasesOn(prefix, "a");
  const ahead = Date.now() + 300_000;
  await (await ownConnection()).set(createKeys(prefix).fence("season"), ahead);

  const lease = await leases.acquire("season", { ttlMs: 5_000 });

  expect(lease?.fence).toBe(ahead + 1);
});

test("renews itself for as long as it is held, and its record has an end all the while", async () => {
  const prefix = freshPrefix();
  const leases = await leasesOn(prefix, "a");
  const admin = await ownConnection();
  const lease = (await leases.acquire("season", { ttlMs: 1_500 })) as Lease;

  for (let n = 0; n < 60; n++) {
    await sleep(50);
    expect(await admin.pttl(createKeys(prefix).lease("season"))).toBeGreaterThan(0);
  }

  expect(lease.isHeld()).toBe(true);
  expect(lease.signal.aborted).toBe(false);
  await lease.release();
  expect(await admin.exists(createKeys(prefix).lease("season"))).toBe(0);
});

test("knows that it is lost by its own clock, before any timer ran", async () => {
  const clock = new FakeClock();
  const leases = await leasesOn(freshPrefix(), "a", { ...clockOf(clock), after: () => () => undefined });
  const lease = (await leases.acquire("season", { ttlMs: 5_000 })) as Lease;

  await clock.advance(4_499);
  expect(lease.isHeld()).toBe(true);
  await clock.advance(1);

  expect(lease.isHeld()).toBe(false);
  expect(lease.signal.aborted).toBe(true);
});

test("aborts where another took it, and does not end the other's", async () => {
  const prefix = freshPrefix();
  const [first, second] = await Promise.all([leasesOn(prefix, "a"), leasesOn(prefix, "b")]);
  const lost = (await first.acquire("season", { ttlMs: 1_500 })) as Lease;
  await (await ownConnection()).del(createKeys(prefix).lease("season"));
  const other = (await second.acquire("season", { ttlMs: 1_500 })) as Lease;

  await eventually(() => expect(lost.signal.aborted).toBe(true));
  await lost.release();

  expect(other.fence).toBeGreaterThan(lost.fence);
  await sleep(1_600);
  expect(other.isHeld()).toBe(true);
  await other.release();
});

test("is lost within its TTL where the store goes away, and taken again when it is back", async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const leases = await leasesOn(freshPrefix(), "a", systemClock, server.url);
  const ending = new AbortController();
  const held: Lease[] = [];
  const holding = leases.hold("season", { ttlMs: 2_000, signal: ending.signal }, async (lease) => {
    held.push(lease);
    await aborted(lease.signal);
  });
  await eventually(() => expect(held).toHaveLength(1));

  server.process.kill("SIGSTOP");
  const stopped = performance.now();
  await eventually(() => expect(held[0]?.signal.aborted).toBe(true));
  const lostAfter = performance.now() - stopped;
  server.process.kill("SIGCONT");

  expect(lostAfter).toBeLessThan(2_000);
  await eventually(() => expect(held).toHaveLength(2));
  ending.abort();
  await holding;
});

test("holding passes from node to node: at most one runs, a farewell is noticed at once, a throw is survived", async () => {
  const prefix = freshPrefix();
  const endings = ["a", "b", "c"].map(() => new AbortController());
  const runs: string[] = [];
  let running = 0;
  const most: number[] = [];
  const holdings = endings.map(async (ending, n) => {
    const leases = await leasesOn(prefix, `n${n}`);
    return leases.hold("ticker", { ttlMs: 1_500, retryMs: 50, signal: ending.signal }, async (lease) => {
      runs.push(`n${n}`);
      most.push(++running);
      if (runs.length === 1) await sleep(20).then(() => running--);
      if (runs.length === 1) throw new Error("the first tick fails");
      await aborted(lease.signal).then(() => running--);
    });
  });
  await eventually(() => expect(runs.length).toBeGreaterThanOrEqual(2));

  const holder = Number(runs.at(-1)?.slice(1));
  endings[holder]?.abort();
  await holdings[holder];
  const began = performance.now();
  await eventually(() => expect(runs.length).toBeGreaterThanOrEqual(3));

  expect(performance.now() - began).toBeLessThan(1_000);
  expect(runs.at(-1)).not.toBe(`n${holder}`);
  expect(Math.max(...most)).toBe(1);
  for (const ending of endings) ending.abort();
  await Promise.all(holdings);
});

test("a process frozen beyond its lease does not act under it when it thaws", async () => {
  const orders = { url: inject("redisUrl"), prefix: freshPrefix(), name: "ticker", ttlMs: 1_500 };
  const others = await leasesOn(orders.prefix, "heir");
  const frozen = startHolder(orders);
  await eventually(() => expect(frozen.acts.length).toBeGreaterThan(10));

  frozen.process.kill("SIGSTOP");
  const heir = await eventually(async () => {
    const lease = await others.acquire("ticker", { ttlMs: 5_000 });
    expect(lease).toBeDefined();
    return lease as Lease;
  });
  const takenAt = Number(process.hrtime.bigint() / 1_000_000n);
  frozen.process.kill("SIGCONT");
  await sleep(500);

  expect(frozen.acts.every(({ at }) => at < takenAt)).toBe(true);
  expect(heir.fence).toBeGreaterThan(frozen.acts.at(-1)?.fence ?? Infinity);
  await heir.release();
  await eventually(() => expect(frozen.acts.at(-1)?.fence).toBeGreaterThan(heir.fence));
  frozen.process.kill("SIGTERM");
  await once(frozen.process, "close");
});

test("a holder that is killed is followed about a TTL later", async () => {
  const orders = { url: inject("redisUrl"), prefix: freshPrefix(), name: "ticker", ttlMs: 1_500 };
  const [first, second] = [startHolder(orders), startHolder(orders)];
  await eventually(() => expect(first.acts.length + second.acts.length).toBeGreaterThan(10));
  const [holder, heir] = first.acts.length > 0 ? [first, second] : [second, first];

  holder.process.kill("SIGKILL");
  const killedAt = Number(process.hrtime.bigint() / 1_000_000n);
  await eventually(() => expect(heir.acts.length).toBeGreaterThan(0));

  expect((heir.acts[0]?.at ?? Infinity) - killedAt).toBeLessThan(1_500 + 1_000);
  expect(heir.acts[0]?.fence).toBeGreaterThan(holder.acts.at(-1)?.fence ?? Infinity);
  heir.process.kill("SIGTERM");
  await once(heir.process, "close");
});

interface Holder {
  process: ChildProcess;
  acts: { at: number; fence: number }[];
}

function startHolder(orders: HolderOrders): Holder {
  const file = fileURLToPath(new URL("./holder.ts", import.meta.url));
  const child = spawn(process.execPath, [file, JSON.stringify(orders)], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const acts: Holder["acts"] = [];
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const [at = 0, fence = 0] = line.split(" ").map(Number);
      acts.push({ at, fence });
    }
  });
  return { process: child, acts };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

const clockOf = ({ now, monotonic, after, every }: Clock): Clock => ({ now, monotonic, after, every });
