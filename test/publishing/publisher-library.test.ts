import { randomUUID } from "node:crypto";
import { createServer, request as forward } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { createPublisher, overHttp, overStream, type PublisherError } from "../../src/publisher/publisher.ts";
import { createOrderRoutes } from "../../src/server/routes/orders.ts";
import { createPublishRoutes } from "../../src/server/routes/publish.ts";
import { apiKey, startHttp } from "../http/support.ts";
import { createPublishingNode } from "../support/publishing-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** A node with its HTTP door, its stream door and a Redis client such as a backend has. */
async function startNode() {
  const prefix = freshPrefix();
  const node = await createPublishingNode({ url: inject("redisUrl"), prefix, nodeId: randomUUID() });
  onTestFinished(() => node.close());
  const { publisher, orders, metrics } = node;
  const channels = {
    publish: node.publish,
    publishMany: (requests: Parameters<typeof node.publish>[0][]) =>
      Promise.all(requests.map((one) => node.publish(one).catch((error: unknown) => error as Error))),
  };
  const routes = [...createPublishRoutes({ channels, metrics }), ...createOrderRoutes({ publisher, orders })];
  const { url } = await startHttp({ routes });
  const redis = node.redis.connection("commands");
  const said = async (channel: string) =>
    (await redis.xrange(node.keys.channelLog(channel), "-", "+")).map(
      ([, fields]) => (JSON.parse(fields[1] as string) as { data: unknown }).data,
    );
  return { ...node, prefix, url, redis, said };
}

/** Stands between a backend and the node: counts calls, and after passing one on may lose its answer. */
async function startProxy(target: string, losesAnswer: (call: number) => boolean = () => false) {
  const paths: string[] = [];
  const server = createServer((incoming, answer) => {
    paths.push(`${incoming.method} ${incoming.url}`);
    const call = paths.length;
    const { method, headers, url = "" } = incoming;
    const passed = forward(new URL(url, target), { method, headers }, (response) => {
      if (losesAnswer(call)) return void incoming.socket.destroy();
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths };
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const say = (n: number, channel = "chat:lobby") => ({ channel, event: "said", data: n });

describe("over HTTP", () => {
  test("what is published in one tick travels as one call, and each call is answered for itself", async () => {
    const { url, said } = await startNode();
    const proxy = await startProxy(url);
    const publisher = createPublisher(overHttp({ url: proxy.url, apiKey }));

    const answers = await Promise.all(range(1, 500).map((n) => publisher.publish(say(n))));

    expect(proxy.paths).toEqual(["POST /v1/publish/batch"]);
    expect(answers.map(({ offset }) => offset)).toEqual(range(1, 500));
    expect(await said("chat:lobby")).toEqual(range(1, 500));
  });

  test("what is handed in while others are on their way follows in order", async () => {
    const { url, said } = await startNode();
    const publisher = createPublisher(overHttp({ url, apiKey }));

    for (const n of range(1, 300)) {
      void publisher.publish(say(n));
      if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await publisher.flush();

    expect(await said("chat:lobby")).toEqual(range(1, 300));
  });

  test("an answer that was lost is asked for again with the same key: one effect, the first answer", async () => {
    const { url, said } = await startNode();
    const proxy = await startProxy(url, (call) => call <= 4);
    const publisher = createPublisher(overHttp({ url: proxy.url, apiKey }), { firstPauseMs: 10 });

    const published = publisher.publish(say(1));
    const created = publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    const applied = publisher.orderEvent({ orderId: "o-1", status: "confirmed" });

    expect(await published).toMatchObject({ offset: 1, duplicate: true });
    expect((await created).order.status).toBe("created");
    expect(await applied).toMatchObject({ applied: true, order: { status: "confirmed", sequence: 1 } });
    expect(await said("chat:lobby")).toEqual([1]);
  });

  test("what failed says what it was and why, and does not keep the others", async () => {
    const { url, said } = await startNode();
    const failures: PublisherError[] = [];
    const onFailure = (error: PublisherError) => void failures.push(error);
    const publisher = createPublisher(overHttp({ url, apiKey }), { onFailure });

    void publisher.publish(say(1, "nope:x"));
    void publisher.publish({ channel: "chat:lobby", event: "", data: 1 });
    void publisher.publish(say(3));
    void publisher.orderEvent({ orderId: "none", status: "confirmed" });
    await publisher.flush();

    expect(failures.map(({ code, field, tries, command: { type } }) => [type, code, field, tries])).toEqual([
      ["publish", "unknown_channel", undefined, 1],
      ["publish", "bad_request", undefined, 1],
      ["order.event", "not_found", "orderId", 1],
    ]);
    expect(await said("chat:lobby")).toEqual([3]);
    const results = await publisher.broadcast(["chat:a", "nope:b"], { event: "said", data: 1 });
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("a wrong key fails at once; nobody there fails after the tries", async () => {
    const { url } = await startNode();
    const wrong = createPublisher(overHttp({ url, apiKey: "wrong" }));
    const nobody = createPublisher(overHttp({ url: "http://127.0.0.1:1", apiKey }), { tries: 3, firstPauseMs: 5 });

    await expect(wrong.publish(say(1))).rejects.toMatchObject({ code: "unauthorized", tries: 1 });
    await expect(nobody.publish(say(1))).rejects.toMatchObject({ code: "unreachable", tries: 3 });
  });

  test("what waits is bounded, and a closed publisher takes no more", async () => {
    const { url } = await startNode();
    const publisher = createPublisher(overHttp({ url, apiKey }), { mostWaiting: 2 });

    const outcomes = await Promise.allSettled(range(1, 3).map((n) => publisher.publish(say(n))));
    await publisher.close();

    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    await expect(publisher.publish(say(4))).rejects.toMatchObject({ code: "closed" });
  });
});

describe("over the stream", () => {
  test("commands are left for the gateway, which performs them in order and once", async () => {
    const { redis, prefix, consumer, orders, said } = await startNode();
    let failing = 3;
    const flaky = {
      // The entry is left, but the backend does not hear of it.
      async xadd(key: string, ...args: string[]) {
        const id = await redis.xadd(key, ...(args as [string, string, string]));
        if (failing-- > 0) throw new Error("the connection broke");
        return id;
      },
    };
    const publisher = createPublisher(overStream({ redis: flaky, prefix }), { firstPauseMs: 5 });
    consumer.start();

    const left = range(1, 100).map((n) => publisher.publish(say(n)));
    void publisher.createOrder({ orderId: "o-1", parties: { customer: "ada" } });
    void publisher.orderEvent({ orderId: "o-1", status: "confirmed" });
    await publisher.flush();

    expect(await left[99]).toMatchObject({ entryId: expect.stringMatching(/^\d+-\d+$/) as string });
    await eventually(async () => expect((await orders.get("o-1")).order.status).toBe("confirmed"));
    await eventually(async () => expect(new Set(await said("chat:lobby"))).toEqual(new Set(range(1, 100))));
    expect(await said("chat:lobby")).toHaveLength(100);
    expect((await orders.get("o-1")).timeline).toHaveLength(2);
  });
});
