import { expect, test } from "vitest";
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
