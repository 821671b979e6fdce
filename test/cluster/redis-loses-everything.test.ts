import { expect, onTestFinished, test } from "vitest";
import { connect } from "../../src/client/client.ts";
import { startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { startRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { eventually } from "../support/world.ts";

const channel = "user:ada";

/** A gateway on a Redis that keeps nothing on disk. */
async function start(): Promise<{ redis: RedisProcess; gateway: TestGateway }> {
  const redis = await startRedisProcess();
  onTestFinished(() => void redis.stop());
  return { redis, gateway: await startGateway({ env: { REDIS_URL: redis.url } }) };
}

async function publish({ call }: TestGateway, data: string): Promise<void> {
  await eventually(async () => {
    const { status } = await call("POST", "/v1/publish", { channel, event: "said", data, idempotencyKey: data });
    expect(status).toBe(200);
  });
}

const received = ({ events }: Client): unknown[] =>
  events
    .filter(([name]) => name === "publication" || name === "unsubscribed")
    .map(([name, argument]) => (name === "unsubscribed" ? argument : (argument as { data: unknown }).data));

const losses: Record<string, (redis: RedisProcess) => Promise<unknown>> = {
  "was emptied": (redis) => redis.ask("FLUSHALL"),
  async "was restarted without its data"(redis) {
    await redis.kill();
    await redis.restart();
  },
};

test.each(Object.keys(losses))("the user's own channel goes on, once for each client, after Redis %s", async (loss) => {
  const { redis, gateway } = await start();
  const { token } = await gateway.signIn("ada");
  const stock = await gateway.connect(token);
  const own = connect(gateway.url, { token });
  onTestFinished(() => own.close());
  const seen: unknown[] = [];
  const resets: unknown[] = [];
  const user = own.channel(channel);
  user.on("publication", ({ data }) => void seen.push(data));
  user.on("reset", ({ position }) => void resets.push(position.offset));
  await user.subscribe();
  await publish(gateway, "before");
  await eventually(() => expect([received(stock), seen]).toEqual([["before"], ["before"]]));

  await losses[loss]!(redis);
  await publish(gateway, "first");
  await publish(gateway, "second");

  const isToldOf = { channel, code: "unavailable", message: expect.stringContaining("has subscribed again") as string };
  await eventually(() => expect(received(stock)).toEqual(["before", isToldOf, "first", "second"]));
  await eventually(() => expect(user.state).toBe("subscribed"));
  await publish(gateway, "third");
  await eventually(() => expect(received(stock).at(-1)).toBe("third"));
  await eventually(() => expect(seen).toEqual(["before", "first", "second", "third"]));
  expect(resets).toEqual([0]);
  expect([stock.connected, own.state]).toEqual([true, "connected"]);
});
