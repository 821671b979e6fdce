import { expect, onTestFinished, test } from "vitest";
import { createScheduledCheckStore, type OrderCheck } from "../../src/orders/scheduled-check-store.ts";
import { createDueWorker } from "../../src/redis/queues/due-worker.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";

type World = Awaited<ReturnType<typeof redisWorld>>;

const checkOf = (orderId: string): OrderCheck => ({ kind: "order", orderId });

const longAway = 60_000;

/** The due worker of a node on a real store. Counts claims when they resolve. */
function startWorker({ redis, keys }: World, clock: Clock) {
  const node = {
    claims: 0,
    nextInMs: undefined as number | undefined,
    performed: [] as { orderId: string; at: number }[],
  };
  const checks = createScheduledCheckStore({
    commands: redis.connection("commands"),
    keys,
    onScheduled: (dueInMs) => worker.expect(dueInMs),
  });
  const worker = createDueWorker({
    async claim(most) {
      const claimed = await checks.claim(most);
      node.claims += 1;
      node.nextInMs = claimed.nextInMs;
      return claimed;
    },
    async perform(scheduled) {
      node.performed.push({ orderId: scheduled.check.orderId, at: performance.now() });
      await checks.drop([scheduled]);
    },
    task: "due-order check",
    clock,
    log: quietLog,
  });
  onTestFinished(() => worker.stop());
  worker.start();
  return Object.assign(node, { checks, stop: () => worker.stop() });
}

/** A worker that has claimed once and is idle. */
async function startRested(world: World) {
  const clock = new FakeClock();
  const node = startWorker(world, clock);
  await clock.advance(0);
  await eventually(() => expect(node.claims).toBe(1));
  await settled();
  return { node, clock };
}

/** The store of another node, which only schedules. */
const checksOf = ({ redis, keys }: World) =>
  createScheduledCheckStore({ commands: redis.connection("commands"), keys, onScheduled: () => undefined });

test("an idle node claims once a second, so it finds the checks of a dead node within a second", async () => {
  const world = await redisWorld();
  const { node, clock } = await startRested(world);
  await checksOf(world).schedule(checkOf("o-1"), 0);

  await clock.advance(999);
  const early = node.claims;
  await clock.advance(1);

  expect(early).toBe(1);
  await eventually(() => expect(node.performed).toMatchObject([{ orderId: "o-1" }]));
});

test("a check that another node scheduled is claimed when it is due", async () => {
  const world = await redisWorld();
  const others = checksOf(world);
  await others.schedule(checkOf("o-1"), longAway);
  // In one tick, so that the node claims at once.
  const scheduled = others.schedule(checkOf("o-2"), 900);
  const [{ node, clock }] = await Promise.all([startRested(world), scheduled]);
  const { nextInMs = 0 } = node;

  await clock.advance(nextInMs - 1);
  const early = node.claims;
  await clock.advance(1);

  expect(nextInMs).toBeGreaterThan(100);
  expect(nextInMs).toBeLessThanOrEqual(900);
  expect(early).toBe(1);
  await eventually(() => expect(node.claims).toBe(2));
});

test("a check scheduled by this node wakes it when due, at least 100 ms after its last claim", async () => {
  const { node, clock } = await startRested(await redisWorld());
  await node.checks.schedule(checkOf("o-1"), longAway);
  await node.checks.schedule(checkOf("o-2"), 300);
  await clock.advance(299);
  const beforeDue = node.claims;
  await clock.advance(1);
  await eventually(() => expect(node.claims).toBe(2));
  await settled();

  await node.checks.schedule(checkOf("o-3"), 10);
  await clock.advance(99);
  const soon = node.claims;
  await clock.advance(1);

  expect([beforeDue, soon]).toEqual([1, 2]);
  await eventually(() => expect(node.claims).toBe(3));
});

test("each check is performed once, and not before it is due", async () => {
  const node = startWorker(await redisWorld(), systemClock);
  const due = new Map<string, number>();
  for (const delayMs of [700, 450, 430, 250, 20, 0, 610]) {
    due.set(`o-${delayMs}`, performance.now() + delayMs);
    await node.checks.schedule(checkOf(`o-${delayMs}`), delayMs);
  }

  await eventually(() => expect(node.performed).toHaveLength(due.size));

  expect(new Set(node.performed.map(({ orderId }) => orderId))).toEqual(new Set(due.keys()));
  for (const { orderId, at } of node.performed) expect(at).toBeGreaterThan(due.get(orderId)! - 2);
});

test("an idle worker stops at once and claims no more", async () => {
  const { node, clock } = await startRested(await redisWorld());

  await node.stop();
  await node.checks.schedule(checkOf("o-1"), 0);
  await clock.advance(5_000);

  expect(node.claims).toBe(1);
});
