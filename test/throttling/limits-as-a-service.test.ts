import { expect, test } from "vitest";
import { seeded } from "../support/random.ts";
import { freshPrefix } from "../support/world.ts";
import { startGateway } from "../support/gateway.ts";

const custom = {
  sms: { requests: 3, windowSeconds: 3_600 },
  search: { capacity: 5, refillPerSecond: 0.001 },
};

test("a backend's own limits are exact over nodes, by key, and a retry with its key takes nothing", async () => {
  const options = { prefix: freshPrefix(), file: { channels: {}, limits: { custom } } };
  const [one, two] = await Promise.all([startGateway(options), startGateway(options)]);
  const take = async (name: string, body: object, node = one) =>
    (await node.call("POST", `/v1/limits/${name}/take`, body)).body;

  const results = await Promise.all(
    Array.from({ length: 8 }, (_, n) => take("sms", { key: "ada" }, n % 2 ? one : two)),
  );

  expect(results.filter(({ allowed }) => allowed)).toHaveLength(3);
  const refused = results.find(({ allowed }) => !allowed);
  expect(refused).toMatchObject({ limit: 3, remaining: 0 });
  expect(refused.retryAfterMs).toBeGreaterThan(3_000_000);
  expect(await take("sms", { key: "bob" })).toMatchObject({ allowed: true, remaining: 2 });
  const repeat = { key: "eve", cost: 2, idempotencyKey: "k" };
  expect(await take("search", repeat)).toMatchObject({ allowed: true, limit: 5, remaining: 3, retryAfterMs: 0 });
  expect(await take("search", repeat, two)).toMatchObject({ allowed: true, remaining: 3 });
  expect(await take("search", { key: "eve", cost: 3 }, two)).toMatchObject({ allowed: true, remaining: 0 });
});

test("unknown limits and wrong costs are refused", async () => {
  const { call } = await startGateway({ file: { channels: {}, limits: { custom } } });

  expect((await call("POST", "/v1/limits/other/take", { key: "a" })).status).toBe(404);
  expect(await call("POST", "/v1/limits/sms/take", { key: "a", cost: 4 })).toMatchObject({
    status: 400,
    body: { field: "cost" },
  });
  expect((await call("POST", "/v1/limits/sms/take", { cost: 1 })).body).toMatchObject({ field: "key" });
});

test("random takes over two nodes, with repeats, agree with a model", async () => {
  const options = {
    prefix: freshPrefix(),
    file: {
      channels: {},
      limits: {
        custom: {
          window: { requests: 12, windowSeconds: 3_600 },
          bucket: { capacity: 20, refillPerSecond: 0.000_001 },
          watched: { requests: 5, windowSeconds: 3_600, shadow: true },
        },
      },
    },
  };
  const nodes = await Promise.all([startGateway(options), startGateway(options)]);
  const random = seeded(3);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const sizes = { window: 12, bucket: 20, watched: 5 };
  const used = new Map<string, number>();
  const answered: { path: string; body: object; answer: object }[] = [];

  for (let act = 0; act < 150; act += 1) {
    const repeated = answered.length > 0 && random() < 0.2 ? pick(answered) : undefined;
    if (repeated !== undefined) {
      const { path, body, answer } = repeated;
      expect((await pick(nodes).call("POST", path, body)).body).toEqual(answer);
      continue;
    }
    const name = pick(Object.keys(sizes) as (keyof typeof sizes)[]);
    const [key, cost] = [pick(["ada", "bob", "cy"]), 1 + Math.floor(random() * 4)];
    const taken = used.get(`${name} ${key}`) ?? 0;
    const fits = taken + cost <= sizes[name];
    if (fits) used.set(`${name} ${key}`, taken + cost);
    const body = { key, cost, idempotencyKey: `${act}` };
    const path = `/v1/limits/${name}/take`;

    const { status, body: answer } = await pick(nodes).call("POST", path, body);

    const left = sizes[name] - (fits ? taken + cost : taken);
    expect({ act, status, ...answer }).toMatchObject({
      act,
      status: 200,
      allowed: fits || name === "watched",
      limit: sizes[name],
    });
    // A node that refuses by an answer it had before need not know what others have taken since.
    expect(answer.remaining).toBeGreaterThanOrEqual(left);
    expect(answer.remaining).toBeLessThanOrEqual(fits ? left : cost - 1);
    expect(answer.retryAfterMs > 0).toBe(!answer.allowed);
    answered.push({ path, body, answer });
  }
  expect([...used.values()].filter((count) => count >= 5).length).toBeGreaterThan(5);
});
