import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/protocol/errors.ts";
import { createRunOnce, type IdempotencyOptions } from "../../src/commands/idempotency.ts";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { within } from "../support/promised.ts";
import { quietLog, redisWorld } from "../support/world.ts";

const write = { scope: "order.create o-1", key: "k", fingerprint: "f" };

async function startNodes(count: number, options: IdempotencyOptions = {}) {
  const world = await redisWorld();
  const nodes = Array.from({ length: count }, () =>
    createRunOnce(
      { commands: world.redis.connection("commands"), keys: world.keys, clock: systemClock, log: quietLog },
      options,
    ),
  );
  return { ...world, nodes, once: nodes[0]! };
}

const settles = <A>(value: A, ms: number) => new Promise<A>((resolve) => setTimeout(resolve, ms, value));

describe("an idempotent write", () => {
  test("repeated 100 times in parallel over three nodes has one effect and one answer", async () => {
    const { nodes } = await startNodes(3);
    let effects = 0;

    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => nodes[index % 3]!(write, () => settles({ effect: ++effects }, 100))),
    );

    expect(effects).toBe(1);
    expect(answers.map(({ effect }) => effect)).toEqual(Array(100).fill(1));
  });

  test("with other content is a conflict, also while the first runs; another scope or key is another write", async () => {
    const { once } = await startNodes(1);
    const first = once(write, () => settles("first", 50));
    await settles(undefined, 10);

    await expect(once({ ...write, fingerprint: "g" }, async () => "other")).rejects.toMatchObject({ code: "conflict" });
    await first;
    await expect(once({ ...write, fingerprint: "g" }, async () => "other")).rejects.toMatchObject({ code: "conflict" });
    expect(await once({ ...write, scope: "other" }, async () => "other")).toBe("other");
    expect(await once({ ...write, key: "other" }, async () => "other")).toBe("other");
  });

  test("that was refused is judged afresh, by those who wait too", async () => {
    const { once } = await startNodes(1);
    let calls = 0;
    const refuseOnce = async () => {
      await settles(undefined, 30);
      if (++calls === 1) throw new GatewayError("not_found");
      return "found";
    };

    const outcomes = await Promise.allSettled([
      once(write, refuseOnce),
      once(write, refuseOnce),
      once(write, refuseOnce),
    ]);

    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
    expect(calls).toBe(2);
  });

  test("whose node died is run by the next who asks; one that only takes long is not", async () => {
    const { once, keys, redis } = await startNodes(1, { claimMs: 300 });
    const dying = createRedisConnections({ address: redis.address, nodeId: "dying", log: quietLog });
    await dying.ready(60_000);
    const deps = { commands: dying.connection("commands"), keys, clock: systemClock, log: quietLog };
    const lost = createRunOnce(deps, { claimMs: 300 })(write, async () => {
      await dying.close();
      return new Promise<never>(() => undefined);
    });
    void lost;
    await settles(undefined, 50);

    expect(await once(write, async () => "recovered")).toBe("recovered");

    const patient = createRunOnce({ ...deps, commands: redis.connection("commands") }, { claimMs: 1_000 });
    // A process that stands still does not renew its claim.
    await within(2_500, async () => {
      let effects = 0;
      const slow = { ...write, key: randomUUID() };
      const answers = await Promise.all([1, 2].map(() => patient(slow, () => settles(++effects, 2_000))));
      expect(answers).toEqual([1, 1]);
    });
  });

  test("waits no longer than it should for the first", async () => {
    const { once } = await startNodes(1, { waitMs: 100 });
    const { promise, resolve } = Promise.withResolvers<string>();
    const begun = Promise.withResolvers<void>();
    const first = once(write, () => (begun.resolve(), promise));
    await begun.promise;

    await expect(once(write, async () => "second")).rejects.toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
    resolve("first");
    expect(await first).toBe("first");
  });

  test("is remembered for as long as configured", async () => {
    const { once, keys, redis } = await startNodes(1, { ttlSeconds: 77 });
    await once(write, async () => "x".repeat(1_000));

    const ttl = await redis.connection("commands").ttl(keys.once(write.scope, write.key));

    expect(ttl).toBeGreaterThan(70);
    expect(ttl).toBeLessThanOrEqual(77);
  });
});
