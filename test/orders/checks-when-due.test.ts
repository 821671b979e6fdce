import { expect, onTestFinished, test } from "vitest";
import { createLookStore, type Look } from "../../src/orders/scheduled-check-store.ts";
import { createDueWorker } from "../../src/redis/due-worker.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";

type World = Awaited<ReturnType<typeof redisWorld>>;

const lookAt = (orderId: string): Look => ({ kind: "order", orderId });

const longAway = 60_000;

/** The watch of a node on a real store. What it asks is counted once it is answered. */
function startWatch({ redis, keys }: World, clock: Clock) {
  const node = { asked: 0, nextInMs: undefined as number | undefined, looked: [] as { orderId: string; at: number }[] };
  const looks = createLookStore({
    commands: redis.connection("commands"),
    keys,
    onPlanned: (dueInMs) => watch.expect(dueInMs),
  });
  const watch = createDueWorker({
    async claim(most) {
      const claimed = await looks.claim(most);
      node.asked += 1;
      node.nextInMs = claimed.nextInMs;
      return claimed;
    },
    async perform(planned) {
      node.looked.push({ orderId: planned.look.orderId, at: performance.now() });
      await looks.drop([planned]);
    },
    task: "due-order check",
    clock,
    log: quietLog,
  });
  onTestFinished(() => watch.stop());
  watch.start();
  return Object.assign(node, { looks, stop: () => watch.stop() });
}

/** One that has asked once, and rests since. */
async function startRested(world: World) {
  const clock = new FakeClock();
  const node = startWatch(world, clock);
  await clock.advance(0);
  await eventually(() => expect(node.asked).toBe(1));
  await settled();
  return { node, clock };
}

/** Another node's, that does nothing but plan. */
const looksOf = ({ redis, keys }: World) =>
  createLookStore({ commands: redis.connection("commands"), keys, onPlanned: () => undefined });

test("a node at rest asks once a second: what a node that died had planned is found within one", async () => {
  const world = await redisWorld();
  const { node, clock } = await startRested(world);
  await looksOf(world).plan(lookAt("o-1"), 0);

  await clock.advance(999);
  const early = node.asked;
  await clock.advance(1);

  expect(early).toBe(1);
  await eventually(() => expect(node.looked).toMatchObject([{ orderId: "o-1" }]));
});

test("what another node had planned is asked for when it is due", async () => {
  const world = await redisWorld();
  const others = looksOf(world);
  await others.plan(lookAt("o-1"), longAway);
  // In one turn of the event loop, so that the node asks at once.
  const planned = others.plan(lookAt("o-2"), 900);
  const [{ node, clock }] = await Promise.all([startRested(world), planned]);
  const { nextInMs = 0 } = node;

  await clock.advance(nextInMs - 1);
  const early = node.asked;
  await clock.advance(1);

  expect(nextInMs).toBeGreaterThan(100);
  expect(nextInMs).toBeLessThanOrEqual(900);
  expect(early).toBe(1);
  await eventually(() => expect(node.asked).toBe(2));
});

test("what this node plans wakes it when it is due, and not sooner than a tenth of a second after it asked", async () => {
  const { node, clock } = await startRested(await redisWorld());
  await node.looks.plan(lookAt("o-1"), longAway);
  await node.looks.plan(lookAt("o-2"), 300);
  await clock.advance(299);
  const beforeDue = node.asked;
  await clock.advance(1);
  await eventually(() => expect(node.asked).toBe(2));
  await settled();

  await node.looks.plan(lookAt("o-3"), 10);
  await clock.advance(99);
  const soon = node.asked;
  await clock.advance(1);

  expect([beforeDue, soon]).toEqual([1, 2]);
  await eventually(() => expect(node.asked).toBe(3));
});

test("whatever is due is looked after once, and not before", async () => {
  const node = startWatch(await redisWorld(), systemClock);
  const due = new Map<string, number>();
  for (const delayMs of [700, 450, 430, 250, 20, 0, 610]) {
    due.set(`o-${delayMs}`, performance.now() + delayMs);
    await node.looks.plan(lookAt(`o-${delayMs}`), delayMs);
  }

  await eventually(() => expect(node.looked).toHaveLength(due.size));

  expect(new Set(node.looked.map(({ orderId }) => orderId))).toEqual(new Set(due.keys()));
  for (const { orderId, at } of node.looked) expect(at).toBeGreaterThan(due.get(orderId)! - 2);
});

test("stops at once while it rests, and asks no more", async () => {
  const { node, clock } = await startRested(await redisWorld());

  await node.stop();
  await node.looks.plan(lookAt("o-1"), 0);
  await clock.advance(5_000);

  expect(node.asked).toBe(1);
});
